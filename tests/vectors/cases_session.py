"""Cases of what is signed, committed to and agreed: hellos, offers, contexts, cohorts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.vectors.cases import CONTEXT, SESSION, Case, drawn, flipped, hexed
from tests.vectors.forms import tagged
from tests.vectors.independent import curves, session
from tests.vectors.independent.hashing import canonical

NAMES = ("alpha", "beta", "delta", "gamma")
NOT_BY_THE_KEY = "is not by the key that the study's roster gives it"


def signature_cases() -> Iterator[Case]:
    context, session_id = bytes.fromhex(CONTEXT), bytes.fromhex(SESSION)
    keys = [drawn(f"key {i}") for i in range(16)]
    signed: dict[str, tuple[str, list[object]]] = {
        "hello": ("fedglmm/securesum/v1/hello", [drawn("study"), "alpha", drawn("nonce"), drawn("mask key")]),
        "advertisement": ("fedglmm/masking/v1/advertise", [session_id, 17, "alpha", keys, keys[::-1]]),
        "agreement": (
            "fedglmm/masking/v1/agree",
            [context, list(NAMES), [[name, drawn(f"commitment of {name}")] for name in NAMES[:3]]],
        ),
        "commitment": ("fedglmm/paillier/v1/commit", [context, "alpha", drawn("digest")]),
    }
    for name, (label, fields) in signed.items():
        given = {"private_key": hexed("signing key"), "label": label, "fields": [tagged(each) for each in fields]}
        yield Case(f"sign_{name}", "sign", given)
    label, fields = signed["commitment"]
    key = drawn("signing key")
    signature = curves.sign(key, canonical([label, *fields]))
    bound: dict[str, Any] = {
        "public_key": curves.ed25519_public(key).hex(),
        "signature": signature.hex(),
        "label": label,
        "fields": [tagged(each) for each in fields],
    }
    yield Case("verify", "verify", bound)
    beyond = int.from_bytes(signature[32:], "little") + curves.ORDER
    wrong: dict[str, dict[str, Any]] = {
        "changed_point": {"signature": flipped(signature.hex(), 3)},
        "changed_number": {"signature": flipped(signature.hex(), 40)},
        "number_beyond_the_order": {"signature": signature[:32].hex() + beyond.to_bytes(32, "little").hex()},
        "zeros": {"signature": bytes(64).hex()},
        "another_key": {"public_key": curves.ed25519_public(drawn("x")).hex()},
        "no_key": {"public_key": (2).to_bytes(32, "little").hex()},
        "another_label": {"label": signed["hello"][0]},
        "another_context": {"fields": [tagged(each) for each in (drawn("x"), *fields[1:])]},
        "another_site": {"fields": [tagged(each) for each in (fields[0], "beta", fields[2])]},
    }
    for name, change in wrong.items():
        yield Case(f"verify_bad_{name}", "verify", {**bound, **change}, "PeerError", NOT_BY_THE_KEY)
    yield Case("self_commitment", "self_commitment", {"seed": hexed("b"), "context": CONTEXT, "site": "alpha"})
    given = {"context": CONTEXT, "site": "alpha", "nonce": hexed("nonce"), "ciphertexts": hexed("c", 256)}
    yield Case("paillier_commitment", "paillier_commitment", given)


def _terms(**changes: Any) -> dict[str, Any]:
    roster = [[name, curves.ed25519_public(drawn(f"signing key of {name}")).hex()] for name in NAMES]
    return {
        "protocol": "masking", "study_digest": hexed("study"), "roster": roster, "minimum_sites": 3,
        "dropouts": 0, "on_dropout": "wait", "modulus": "0x0", "threshold": 0, **changes,
    }  # fmt: skip


def _hello(name: str, signer: str = "", **changes: str) -> dict[str, str]:
    fields = {
        "study_digest": hexed("study"), "nonce": hexed(f"nonce of {name}"),
        "mask_public_key": curves.x25519_public(drawn(f"mask key of {name}")).hex(), **changes,
    }  # fmt: skip
    unsigned = {"site": name, **{field: bytes.fromhex(text) for field, text in fields.items()}}
    signature = curves.sign(drawn(f"signing key of {signer or name}"), session.hello_fields(unsigned))
    return {"site": name, **fields, "signature": signature.hex()}


def session_cases() -> Iterator[Case]:
    hellos = [_hello(name) for name in NAMES]
    offer = {"coordinator_nonce": hexed("coordinator nonce"), "hellos": hellos}
    paillier = {"protocol": "paillier", "modulus": hex(2**511 + 187), "threshold": 3}
    terms = {
        "masking": _terms(),
        "plain": _terms(protocol="plain"),
        "masking_with_a_dropout": _terms(dropouts=1, threshold=3),
        "masking_with_exclusion": _terms(dropouts=1, threshold=3, on_dropout="exclude"),
        "paillier": _terms(**paillier),
        "paillier_with_a_dropout": _terms(**paillier, dropouts=1),
    }
    for name, each in terms.items():
        yield Case(f"open_offer_{name}", "open_offer", {"terms": each, **offer})
    yield from _bad_offers(offer, hellos)
    request = {
        "session_id": SESSION, "number": 2, "question": canonical(["describe"]).hex(), "length": 7,
        "participants": list(NAMES),
    }  # fmt: skip
    yield Case("context", "context", request)
    for change in ({"number": 3}, {"length": 8}, {"participants": list(NAMES[:3])}, {"session_id": CONTEXT}):
        yield Case(f"context_of_another_{next(iter(change))}", "context", {**request, **change})
    yield from _cohorts(terms)


def _bad_offers(offer: dict[str, Any], hellos: list[dict[str, str]]) -> Iterator[Case]:
    nonce, key = hellos[0]["nonce"], hellos[0]["mask_public_key"]
    twice = "have the same nonce or mask key"
    wrong: dict[str, tuple[dict[str, Any], str, str]] = {
        "missing_site": ({"hellos": hellos[:3]}, "RefusalError", "but the study's roster is"),
        "additional_site": ({"hellos": [*hellos, _hello("zeta")]}, "RefusalError", "but the study's roster is"),
        "another_name": ({"hellos": [_hello("Alpha"), *hellos[1:]]}, "RefusalError", "but the study's roster is"),
        "another_study": (
            {"hellos": [_hello("alpha", study_digest=hexed("x")), *hellos[1:]]}, "RefusalError", "another version"
        ),
        "signed_by_another_site": (
            {"hellos": [_hello("alpha", signer="beta"), *hellos[1:]]}, "PeerError", NOT_BY_THE_KEY
        ),
        "changed_after_signing": (
            {"hellos": [hellos[0] | {"nonce": hexed("x")}, *hellos[1:]]}, "PeerError", NOT_BY_THE_KEY
        ),
        "equal_nonces": ({"hellos": [hellos[0], _hello("beta", nonce=nonce), *hellos[2:]]}, "PeerError", twice),
        "equal_mask_keys": (
            {"hellos": [hellos[0], _hello("beta", mask_public_key=key), *hellos[2:]]}, "PeerError", twice
        ),
        "coordinator_nonce_of_a_site": ({"coordinator_nonce": nonce}, "PeerError", twice),
    }  # fmt: skip
    for name, (change, error, sentence) in wrong.items():
        yield Case(f"open_offer_bad_{name}", "open_offer", {"terms": _terms(), **offer, **change}, error, sentence)


def _cohorts(terms: dict[str, dict[str, Any]]) -> Iterator[Case]:
    waiting, excluding = terms["masking_with_a_dropout"], terms["masking_with_exclusion"]

    def asked(given: dict[str, Any], now: tuple[str, ...], before: tuple[str, ...] = NAMES) -> dict[str, Any]:
        return {"terms": given, "before": list(before), "now": list(now), "site": "alpha"}

    three = NAMES[:3]
    yield Case("check_cohort_all", "check_cohort", asked(waiting, NAMES))
    yield Case("check_cohort_one_excluded", "check_cohort", asked(excluding, three))
    yield Case("check_cohort_excluded_before", "check_cohort", asked(excluding, three, three))
    wrong = {
        "where_the_study_waits": (asked(waiting, three), "all sites of the roster must take part"),
        "two_excluded": (asked(excluding, NAMES[:2]), "the study allows 1 dropouts"),
        "one_after_another": (asked(excluding, NAMES[:2], three), "the study allows 1 dropouts"),
        "site_that_comes_back": (asked(excluding, NAMES, three), "not all among those taking part"),
        "stranger": (asked(excluding, (*three, "zeta")), "not all among those taking part"),
        "without_this_site": (asked(excluding, NAMES[1:]), "not all among those taking part"),
    }
    for name, (given, sentence) in wrong.items():
        yield Case(f"check_cohort_bad_{name}", "check_cohort", given, "RefusalError", sentence)
