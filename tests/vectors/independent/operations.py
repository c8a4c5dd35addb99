"""What the vectors ask, by name: each from the ``given`` of a vector to its ``result`` (see ``README.md``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tests.vectors.forms import (
    element_text,
    elements,
    field,
    real,
    real_text,
    whole_texts,
    wholes,
)
from tests.vectors.independent import aes, curves, hashing, hpke, masking, paillier, protobuf, session, study
from tests.vectors.independent.messages import decode_message, question_bytes

Given = Mapping[str, Any]


def raw(text: str) -> bytes:
    """Bytes of hexadecimal."""
    return bytes.fromhex(text)


def terms(given: Given) -> session.Terms:
    """The terms of a session."""
    return session.Terms(
        given["protocol"], raw(given["study_digest"]), tuple((name, raw(key)) for name, key in given["roster"]),
        given["minimum_sites"], given["dropouts"], given["on_dropout"], int(given["modulus"], 16),
        given["threshold"],
    )  # fmt: skip


def _decode_sum(given: Given) -> list[str]:
    sums = masking.real_sum(elements(given["elements"]), given["contributors"])
    return [real_text(value / masking.SCALE) for value in sums]


def _split(given: Given) -> dict[str, str]:
    randomness = raw(given["randomness"])
    coefficients = [int.from_bytes(randomness[i : i + 48], "big") for i in range(0, len(randomness), 48)]
    shares = masking.split(raw(given["secret"]), coefficients, given["indices"])
    return {str(index): share.hex() for index, share in shares.items()}


def _fields(given: Given) -> list[object]:
    return [field(each) for each in given["fields"]]


def _open_offer(given: Given) -> str:
    hellos = [protobuf.from_json("Hello", hello) for hello in given["hellos"]]
    return session.open_offer(terms(given["terms"]), raw(given["coordinator_nonce"]), hellos).hex()


def _verify(given: Given) -> None:
    message = hashing.canonical([given["label"], *_fields(given)])
    curves.verify(raw(given["public_key"]), raw(given["signature"]), message)


def _pair_masked(given: Given) -> str:
    secrets = {peer: raw(secret) for peer, secret in given["secrets"].items()}
    own, context = given["site"], raw(given["context"])
    masked = masking.pair_masked(elements(given["elements"]), own, secrets, raw(given["session_id"]), context)
    return element_text(masked)


def _open_sealed(given: Given) -> str:
    info = hashing.canonical([given["label"], *_fields(given)])
    return hpke.unseal(raw(given["private_key"]), raw(given["sealed"]), info).hex()


def _wrapping(given: Given) -> tuple[bytes, bytes, str, list[object]]:
    return raw(given["secret"]), raw(given["session_id"]), given["label"], _fields(given)


def _partials(given: Given) -> dict[int, list[int]]:
    return {int(index): wholes(numbers) for index, numbers in given["partials"].items()}


def _decode_message(given: Given) -> dict[str, Any]:
    return protobuf.to_json(given["kind"], decode_message(given["kind"], raw(given["bytes"])))


def _encode_message(given: Given) -> str:
    data = protobuf.encode(given["kind"], protobuf.from_json(given["kind"], given["fields"]))
    decode_message(given["kind"], data)
    return data.hex()


def _encrypt(given: Given) -> list[str]:
    pairs = zip(wholes(given["plaintexts"]), wholes(given["r"]), strict=True)
    return whole_texts(paillier.encrypt(int(given["modulus"], 16), m, r) for m, r in pairs)


OPERATIONS: Mapping[str, Callable[[Given], Any]] = {
    "canonical": lambda given: hashing.canonical(field(given["value"])).hex(),
    "digest": lambda given: hashing.digest(given["label"], *_fields(given)).hex(),
    "question": lambda given: question_bytes(protobuf.from_json("Question", given["question"])).hex(),
    "encode": lambda given: element_text(masking.fixed_point(real(text)) for text in given["values"]),
    "decode_sum": _decode_sum,
    "from_seed": lambda given: hashing.from_seed(raw(given["seed"]), given["label"], *_fields(given)).hex(),
    "pair_key": lambda given: masking.pair_key(
        raw(given["secret"]), raw(given["session_id"]), raw(given["context"]), given["pair"], given["length"]
    ).hex(),
    "self_mask": lambda given: element_text(
        masking.expand(
            masking.self_key(
                raw(given["seed"]), raw(given["session_id"]), raw(given["context"]), given["site"], given["length"]
            ),
            given["length"],
        )
    ),
    "x25519": lambda given: curves.shared_secret(raw(given["private_key"]), raw(given["public_key"])).hex(),
    "expand": lambda given: element_text(masking.expand(raw(given["key"]), given["length"])),
    "pair_masked": _pair_masked,
    "coefficients": lambda given: aes.keystream(raw(given["key"]), 48 * given["count"]).hex(),
    "split": _split,
    "combine_shares": lambda given: masking.combine(
        {int(index): raw(share) for index, share in given["shares"].items()}, given["threshold"]
    ).hex(),
    "seal_share": lambda given: masking.seal(raw(given["share"]), *_wrapping(given)).hex(),
    "unseal_share": lambda given: masking.unseal(raw(given["sealed"]), *_wrapping(given)).hex(),
    "open_sealed": _open_sealed,
    "sign": lambda given: curves.sign(
        raw(given["private_key"]), hashing.canonical([given["label"], *_fields(given)])
    ).hex(),
    "verify": _verify,
    "self_commitment": lambda given: session.self_commitment(
        raw(given["seed"]), raw(given["context"]), given["site"]
    ).hex(),
    "paillier_commitment": lambda given: session.paillier_commitment(
        raw(given["context"]), given["site"], raw(given["nonce"]), raw(given["ciphertexts"])
    ).hex(),
    "open_offer": _open_offer,
    "context": lambda given: session.context(
        raw(given["session_id"]), given["number"], raw(given["question"]), given["length"], given["participants"]
    ).hex(),
    "check_cohort": lambda given: terms(given["terms"]).check_cohort(given["before"], given["now"], given["site"]),
    "pack": lambda given: whole_texts(paillier.pack(elements(given["elements"]), given["modulus_bits"])),
    "unpack": lambda given: element_text(
        paillier.unpack(wholes(given["plaintexts"]), given["length"], given["contributors"], given["modulus_bits"])
    ),
    "key_shares": lambda given: whole_texts(
        paillier.key_shares(int(given["p"], 16), int(given["q"], 16), given["sites"], wholes(given["coefficients"]))
    ),
    "encrypt": _encrypt,
    "ciphertexts": lambda given: whole_texts(
        paillier.ciphertexts(int(given["modulus"], 16), raw(given["bytes"]), given["count"])
    ),
    "multiply": lambda given: whole_texts(
        paillier.multiply(int(given["modulus"], 16), [wholes(each) for each in given["contributions"]])
    ),
    "partial_decrypt": lambda given: whole_texts(
        paillier.partial_decrypt(int(given["modulus"], 16), int(given["share"], 16), wholes(given["product"]))
    ),
    "combine_partials": lambda given: whole_texts(
        paillier.combine(int(given["modulus"], 16), given["threshold"], given["sites"], _partials(given))
    ),
    "study_digest": lambda given: study.study_digest(given["study"]).hex(),
    "encode_message": _encode_message,
    "decode_message": _decode_message,
}


def agrees(operation: str, result: Any, expected: Any) -> bool:
    """Whether a result is the vector's. Sums in real numbers may differ in their last place."""
    if operation != "decode_sum":
        return bool(result == expected)
    pairs = [(real(a), real(b)) for a, b in zip(result, expected, strict=True)]
    return all(abs(a - b) <= math.ulp(b) for a, b in pairs)
