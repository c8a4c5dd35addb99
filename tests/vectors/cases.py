"""What is asked in the vectors, by file: a name, an operation and what is given; of a ``_bad_`` one how it is refused.

Everything is fixed, or expanded from a fixed text by ``drawn``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.vectors.forms import element_text, real_text, tagged
from tests.vectors.independent import hpke, masking
from tests.vectors.independent.curves import x25519_public
from tests.vectors.independent.hashing import canonical

LARGEST = math.nextafter(2.0**43, 0.0)
TINY = 2.0**-44


@dataclass(frozen=True)
class Case:
    """A vector without its result; ``error`` is the class, and ``sentence`` a part of the sentence, of a refusal."""

    name: str
    operation: str
    given: Mapping[str, Any]
    error: str = ""
    sentence: str = ""


def drawn(text: str, size: int = 32) -> bytes:
    """Bytes that look random and are always the same."""
    return hashlib.shake_256(text.encode()).digest(size)


def flipped(text: str, place: int) -> str:
    """The hexadecimal of bytes of which the one at ``place`` has another last bit."""
    data = bytearray.fromhex(text)
    data[place] ^= 1
    return data.hex()


def hexed(text: str, size: int = 32) -> str:
    return drawn(text, size).hex()


SESSION, CONTEXT, SECRET = hexed("session id"), hexed("context"), hexed("secret")


def canonical_cases() -> Iterator[Case]:
    yield Case(
        "canonical_of_the_protocol_page", "canonical", {"value": tagged(["fedglmm", 7, b"\x00\xff", 0.5, ["a", "b"]])}
    )
    fields = {
        "nothing": None, "true": True, "false": False, "no_bytes": b"", "no_text": "", "no_fields": [],
        "text_beyond_ascii": "Bürgerspital \U0001f3e5 e\u0301", "zero": 0, "negative_integer": -7,
        "integer_of_512_bits": 2**511 + 1, "minus_zero": -0.0, "smallest_real": 5e-324,
        "largest_real": 1.7976931348623157e308,
        "nested": [["a", []], [b"a", [0, 0.0, False, None]]],
    }  # fmt: skip
    for name, value in fields.items():
        yield Case(f"canonical_{name}", "canonical", {"value": tagged(value)})
    yield Case("digest_of_no_field", "digest", {"label": "label", "fields": []})
    for name, texts in (("a_bc", ["a", "bc"]), ("ab_c", ["ab", "c"])):
        yield Case(f"digest_of_{name}", "digest", {"label": "label", "fields": [tagged(text) for text in texts]})
    lists = {"columns": [0, 2, 300], "description": [real_text(x) for x in (602.0, 0.0, -0.0, 1e-300)]}
    theta = [real_text(x) for x in (0.1, -math.pi, 1e300)]
    of_rows = {"theta": theta, "nodes": 9, **lists}
    questions: dict[str, dict[str, Any]] = {
        "describe": {"describe": {}},
        "marginal_derivatives_of_all_rows": {"marginal_derivatives": {**of_rows, "part": "PART_ALL"}},
        "marginal_derivatives_of_training_rows": {"marginal_derivatives": {**of_rows, "part": "PART_TRAINING"}},
        "held_out_likelihood": {
            "held_out_likelihood": {"thetas": [{"entries": theta}, {"entries": []}], "nodes": 1, **lists}
        },
        "working_derivatives": {"working_derivatives": {"theta": theta, **lists}},
    }
    for name, question in questions.items():
        yield Case(f"question_{name}", "question", {"question": question})
    bad: dict[str, tuple[dict[str, Any], str]] = {
        "unknown": ({}, "unknown question"),
        "part": ({"marginal_derivatives": {**of_rows, "part": "PART_UNSPECIFIED"}}, "unknown part of the rows"),
        "no_nodes": ({"marginal_derivatives": {**of_rows, "nodes": 0, "part": "PART_ALL"}}, "0 quadrature nodes"),
        "too_many_nodes": ({"held_out_likelihood": {"thetas": [], "nodes": 51, **lists}}, "51 quadrature nodes"),
        "theta_not_a_number": (
            {"working_derivatives": {"theta": [real_text(math.nan)], **lists}},
            "theta holds a number that is not finite",
        ),
        "description_infinite": (
            {"working_derivatives": {"theta": theta, "columns": [], "description": [real_text(math.inf)]}},
            "description holds a number that is not finite",
        ),
        "too_many_columns": (
            {"working_derivatives": {"theta": theta, "columns": [1] * 4097, "description": []}}, "4097 entries"
        ),
    }  # fmt: skip
    for name, (question, sentence) in bad.items():
        yield Case(f"question_bad_{name}", "question", {"question": question}, "PeerError", sentence)


def codec_cases() -> Iterator[Case]:
    values = {
        "zeros": [0.0, -0.0],
        "ones": [1.0, -1.0, 0.5, -0.25, 101.5, -1e6],
        "units_of_the_last_place": [TINY, -TINY],
        "ties_to_even": [k * TINY / 2 for k in (1, 3, 5, 7, -1, -3, -5, -7)],
        "just_beside_a_tie": [math.nextafter(TINY / 2, s * 1.0) for s in (-1, 1)],
        "below_the_last_place": [5e-324, -5e-324, TINY / 4],
        "largest": [LARGEST, -LARGEST, 2.0**42],
        "carry_between_limbs": [2.0**20, -(2.0**20), 2.0**20 - TINY, TINY - 2.0**20],
    }
    for name, given in values.items():
        yield Case(f"encode_{name}", "encode", {"values": [real_text(value) for value in given]})
    for name, value in {"nan": math.nan, "inf": math.inf, "minus_inf": -math.inf}.items():
        yield _bad_number(name, value)
    yield _bad_number("bound", 2.0**43)
    yield _bad_number("minus_bound", -(2.0**43))
    yield _bad_number("huge", 1e308)
    sums = {
        "of_one": [1 << 44, 3 << 43, -1, 0], "of_255": [255 << 44, 255 * (2**87 - 1), -255 * (2**87 - 1)],
        "of_3_that_need_rounding": [3 << 44, 2**80 + 1, -(2**80) - 3, 2**64 - 1, (1 << 60) + 1],
    }  # fmt: skip
    for name, numbers in sums.items():
        contributors = numbers[0] >> 44
        yield Case(f"decode_{name}", "decode_sum", {"elements": element_text(numbers), "contributors": contributors})
    for name, number in {
        "too_large": 3 * 2**87 + 2**40,
        "too_negative": -3 * 2**87 - 2**40,
        "masked": 2**127 + 12345,
    }.items():
        yield Case(
            f"decode_bad_{name}", "decode_sum", {"elements": element_text([3 << 44, number]), "contributors": 3},
            "PeerError", "the masks did not cancel",
        )  # fmt: skip


def _bad_number(name: str, value: float) -> Case:
    given = {"values": [real_text(1.0), real_text(value)]}
    return Case(f"encode_bad_{name}", "encode", given, "QuantityError", "value 2 is")


def kdf_cases() -> Iterator[Case]:
    seed = hexed("seed")
    derived: dict[str, list[object]] = {
        "fedglmm/seed/v1/nonce": [],
        "fedglmm/seed/v1/session key": [],
        "fedglmm/seed/v1/wrap key": [bytes.fromhex(SESSION), 17],
        "fedglmm/seed/v1/mask key": [bytes.fromhex(SESSION), 17],
        "fedglmm/seed/v1/self mask": [bytes.fromhex(CONTEXT)],
    }
    for label, fields in derived.items():
        given = {"seed": seed, "label": label, "fields": [tagged(each) for each in fields]}
        yield Case(f"from_seed_{label.rpartition('/')[2].replace(' ', '_')}", "from_seed", given)
    for name, purpose in {"mask_key": ["mask key", 17], "self_mask": ["self mask", bytes.fromhex(CONTEXT)]}.items():
        fields = [bytes.fromhex(SESSION), *purpose]
        given = {"seed": seed, "label": "fedglmm/seed/v1/polynomial", "fields": [tagged(each) for each in fields]}
        yield Case(f"from_seed_polynomial_of_{name}", "from_seed", given)
    common = {"secret": SECRET, "session_id": SESSION, "context": CONTEXT}
    yield Case("pair_key", "pair_key", {**common, "pair": ["alpha", "beta"], "length": 5})
    yield Case("pair_key_the_other_way_round", "pair_key", {**common, "pair": ["beta", "alpha"], "length": 5})
    yield Case("pair_key_of_another_length", "pair_key", {**common, "pair": ["alpha", "beta"], "length": 6})
    yield Case("pair_key_beyond_ascii", "pair_key", {**common, "pair": ["Zürich", "Basel"], "length": 5})
    yield Case(
        "pair_key_of_another_session", "pair_key", {**common, "session_id": hexed("x"), "pair": ["a", "b"], "length": 5}
    )
    yield Case("coefficients", "coefficients", {"key": SECRET, "count": 3})


def mask_cases() -> Iterator[Case]:
    yield Case("x25519", "x25519", {"private_key": SECRET, "public_key": hexed("public")})
    yield Case("x25519_ignores_the_top_bit", "x25519", {"private_key": SECRET, "public_key": "ff" * 31 + "ff"})
    low = {"zero": 0, "one": 1, "order_8": 325606250916557431795983626356110631294008115727848805560023387167927233504,
           "minus_one": 2**255 - 20, "p": 2**255 - 19, "p_plus_one": 2**255 - 18}  # fmt: skip
    for name, u in low.items():
        given = {"private_key": SECRET, "public_key": u.to_bytes(32, "little").hex()}
        yield Case(f"x25519_bad_low_order_{name}", "x25519", given, "PeerError", "low order")
    yield Case(
        "x25519_bad_length", "x25519", {"private_key": SECRET, "public_key": "09" * 31}, "PeerError", "mask key of site"
    )
    for length in (1, 2, 17):
        yield Case(f"expand_{length}", "expand", {"key": SECRET, "length": length})
    common = {"session_id": SESSION, "context": CONTEXT}
    yield Case("self_mask", "self_mask", {**common, "seed": SECRET, "site": "beta", "length": 3})
    plain = element_text([1 << 44, 0, -1, 2**87 - 1, -(2**87) + 1])
    secrets = {peer: hexed(f"beta and {peer}") for peer in ("alpha", "delta", "gamma")}
    for site, peers in (("beta", ("alpha", "delta", "gamma")), ("alpha", ("delta", "gamma")), ("zeta", ("alpha",))):
        given = {**common, "elements": plain, "site": site, "secrets": {peer: secrets[peer] for peer in peers}}
        yield Case(f"pair_masked_{site}", "pair_masked", given)


def shamir_cases() -> Iterator[Case]:
    prime = 2**256 + 297
    secrets = {"drawn": drawn("shared"), "zero": bytes(32), "largest": b"\xff" * 32}
    for name, secret in secrets.items():
        given = {"secret": secret.hex(), "randomness": hexed("polynomial", 96), "indices": [1, 2, 3, 4]}
        yield Case(f"split_{name}", "split", given)
    yield Case("split_255", "split", {"secret": SECRET, "randomness": hexed("p", 48), "indices": [1, 254, 255]})
    coefficients = [int.from_bytes(drawn("polynomial", 96)[i : i + 48], "big") % prime for i in (0, 48)]
    secret = int.from_bytes(secrets["drawn"], "big")
    shares = {x: (secret + coefficients[0] * x + coefficients[1] * x * x) % prime for x in (1, 2, 3, 4)}

    def given(numbers: Mapping[int, int]) -> dict[str, Any]:
        return {"threshold": 3, "shares": {str(x): value.to_bytes(33, "big").hex() for x, value in numbers.items()}}

    def only(*indices: int) -> dict[int, int]:
        return {x: shares[x] for x in indices}

    yield Case("combine_t_shares", "combine_shares", given(only(1, 2, 3)))
    yield Case("combine_t_other_shares", "combine_shares", given(only(2, 3, 4)))
    yield Case("combine_t_plus_1_shares", "combine_shares", given(shares))
    yield Case("combine_a_wrong_share_gives_another_secret", "combine_shares", given({**only(1, 2), 3: shares[3] ^ 1}))
    yield Case("combine_a_wrong_share_after_t_is_not_looked_at", "combine_shares", given({**shares, 4: 5}))
    few = "shares do not open a secret that takes 3"
    yield Case("combine_bad_t_minus_1_shares", "combine_shares", given(only(1, 4)), "PeerError", few)
    yield Case("combine_bad_no_shares", "combine_shares", given({}), "PeerError", few)
    # The weight of index 3 among 1, 2, 3 is 1: this share moves the secret to 2^256, which is none.
    beyond = {**only(1, 2), 3: (shares[3] + 2**256 - secret) % prime}
    yield Case("combine_bad_no_secret", "combine_shares", given(beyond), "PeerError", "belong to no secret")


def sealed_cases() -> Iterator[Case]:
    common = {"secret": SECRET, "session_id": SESSION}
    labels = {
        "mask_key": ("fedglmm/masking/v1/mask key share", [17, "alpha", "beta"]),
        "self_mask": ("fedglmm/masking/v1/self share", [17, "alpha", "beta", bytes.fromhex(CONTEXT)]),
    }
    share = "01" + hexed("share")
    for name, (label, fields) in labels.items():
        bound = {**common, "label": label, "fields": [tagged(each) for each in fields]}
        yield Case(f"seal_{name}_share", "seal_share", {**bound, "share": share})
    label, fields = labels["mask_key"]
    bound = {**common, "label": label, "fields": [tagged(each) for each in fields]}
    session = bytes.fromhex(SESSION)
    sealed = masking.seal(bytes.fromhex(share), bytes.fromhex(SECRET), session, label, fields).hex()
    yield Case("unseal_share", "unseal_share", {**bound, "sealed": sealed})
    wrong: dict[str, dict[str, Any]] = {
        "changed_content": {"sealed": flipped(sealed, 0)},
        "changed_tag": {"sealed": flipped(sealed, 48)},
        "cut_off": {"sealed": sealed[:-2]},
        "no_tag": {"sealed": sealed[:30]},
        "another_sum": {"fields": [tagged(each) for each in (18, "alpha", "beta")]},
        "sites_the_other_way_round": {"fields": [tagged(each) for each in (17, "beta", "alpha")]},
        "another_label": {"label": labels["self_mask"][0]},
        "another_session": {"session_id": hexed("x")},
        "another_secret": {"secret": hexed("x")},
    }
    for name, change in wrong.items():
        given = {**bound, "sealed": sealed, **change}
        yield Case(f"unseal_bad_{name}", "unseal_share", given, "PeerError", "was changed on its way")


def share_file_cases() -> Iterator[Case]:
    """The sealed content of a share file: HPKE, bound to the dealing and the site."""
    private, dealing = drawn("encryption key"), drawn("dealing")
    label, fields = "fedglmm/paillier/v1/share", [dealing, "alpha"]
    info = canonical([label, *fields])
    sealed = hpke.seal(drawn("ephemeral key"), x25519_public(private), drawn("key share", 100), info).hex()
    bound = {"private_key": private.hex(), "label": label, "fields": [tagged(each) for each in fields]}
    yield Case("open_sealed", "open_sealed", {**bound, "sealed": sealed})
    wrong: dict[str, dict[str, Any]] = {
        "changed_key": {"sealed": flipped(sealed, 0)},
        "changed_content": {"sealed": flipped(sealed, 40)},
        "changed_tag": {"sealed": flipped(sealed, 147)},
        "cut_off": {"sealed": sealed[:60]},
        "another_site": {"fields": [tagged(each) for each in (dealing, "beta")]},
        "another_dealing": {"fields": [tagged(each) for each in (bytes(32), "alpha")]},
        "another_key": {"private_key": hexed("x")},
    }
    for name, change in wrong.items():
        given = {**bound, "sealed": sealed, **change}
        yield Case(f"open_sealed_bad_{name}", "open_sealed", given, "InputError", "cannot be opened")
    roster = [["alpha", drawn("signing", 32), x25519_public(private)], ["beta", drawn("b", 32), drawn("c", 32)]]
    given = {"label": "fedglmm/paillier/v1/dealing", "fields": [tagged(each) for each in ("c0ffee01", 2, roster)]}
    yield Case("digest_of_a_dealing", "digest", given)
