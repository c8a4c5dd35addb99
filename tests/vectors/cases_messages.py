"""Cases of messages on the wire: one of every kind, and what no party sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.vectors.cases import CONTEXT, SESSION, Case, hexed
from tests.vectors.forms import real_text
from tests.vectors.independent import protobuf

HEAD = {"session_id": SESSION, "number": 300, "site": "1_UM"}
SHARES = ["", hexed("sealed", 49)]
HELLO = {"site": "1_UM", "study_digest": hexed("study"), "nonce": hexed("nonce"), "mask_public_key": hexed("key"),
         "signature": hexed("signature", 64)}  # fmt: skip
ADVERTISEMENT = {**HEAD, "wrap_keys": [hexed(f"w{i}") for i in range(16)],
                 "mask_keys": [hexed(f"m{i}") for i in range(16)], "signature": hexed("s", 64)}  # fmt: skip
AGREEMENT = {**HEAD, "survivors": ["1_UM", "2_IU"], "signature": hexed("s", 64)}
COMMITMENT = {**HEAD, "digest": hexed("d"), "signature": hexed("s", 64)}
OPENING = {**HEAD, "nonce": hexed("n"), "ciphertexts": hexed("c", 256)}
FROM_SITES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "hello": ("hello", HELLO),
    "hello_beyond_ascii": ("hello", {**HELLO, "site": "Zürich \U0001f3e5"}),
    "contribution": ("contribution", {**HEAD, "vector": hexed("v", 48), "commitment": "", "sealed": []}),
    "contribution_with_dropouts": (
        "contribution", {**HEAD, "vector": hexed("v", 48), "commitment": CONTEXT, "sealed": SHARES}
    ),
    "ready": ("ready", {"site": "1_UM", "session_id": SESSION, "last_sum": 0, "phase": "PHASE_UNSPECIFIED"}),
    "ready_after_agree": ("ready", {"site": "1_UM", "session_id": SESSION, "last_sum": 129, "phase": "PHASE_AGREE"}),
    "refusal": ("refusal", {"site": "1_UM", "category": "CATEGORY_REFUSED", "sentence": "too few rows"}),
    "advertisement": ("advertisement", ADVERTISEMENT),
    "key_shares": ("key_shares", {**HEAD, "sealed": ["", hexed("sealed", 784)]}),
    "agreement": ("agreement", AGREEMENT),
    "unmasking": ("unmasking", {**HEAD, "shares": [hexed("a", 33), hexed("b", 33)]}),
    "commitment": ("commitment", COMMITMENT),
    "opening": ("opening", OPENING),
    "decryption": ("decryption", {**HEAD, "partials": hexed("p", 256)}),
}  # fmt: skip


def second(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {**fields, "site": "2_IU"}


def relay(phase: str, kind: str, *parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"session_id": SESSION, "number": 300, "phase": phase, "parts": [{kind: part} for part in parts]}


def parcel(site: str, sealed: str, commitment: str = "") -> dict[str, Any]:
    return {"site": site, "sealed": sealed, "commitment": commitment}


REQUEST: dict[str, Any] = {
    "session_id": SESSION, "number": 1, "participants": ["1_UM", "2_IU"], "question": {"describe": {}}, "length": 23,
}  # fmt: skip
OF_ROWS = {
    "theta": [real_text(0.5), real_text(-0.0)],
    "nodes": 9,
    "columns": [0, 200],
    "description": [real_text(602.0)],
}
QUESTIONS: Mapping[str, dict[str, Any]] = {
    "marginal_derivatives": {"marginal_derivatives": {**OF_ROWS, "part": "PART_TRAINING"}},
    "held_out_likelihood": {
        "held_out_likelihood": {
            "thetas": [{"entries": [real_text(1.0)]}, {"entries": []}], "nodes": 1, "columns": [], "description": [],
        }
    },
    "working_derivatives": {"working_derivatives": {k: v for k, v in OF_ROWS.items() if k != "nodes"}},
}  # fmt: skip
OFFER = {"coordinator_nonce": hexed("coordinator nonce"), "hellos": [HELLO, second(HELLO)]}
FROM_COORDINATOR: Mapping[str, tuple[str, dict[str, Any]]] = {
    "next_with_offer": ("next", {"offer": OFFER, "request": REQUEST}),
    **{
        f"next_{name}": ("next", {"offer": None, "request": {**REQUEST, "question": question}})
        for name, question in QUESTIONS.items()
    },
    "finished": ("finished", {"result_json": '{"format": "fedglmm-result/1"}'}),
    "finished_without_a_word": ("finished", {"result_json": ""}),
    "stopped": ("stopped", {"category": "CATEGORY_LINK", "sentence": "no word from 2_IU"}),
    "wait": ("wait", {}),
    "say_hello": ("say_hello", {}),
    "send_again": ("send_again", {}),
    "relay_advertise": ("relay", relay("PHASE_ADVERTISE", "advertisement", ADVERTISEMENT, second(ADVERTISEMENT))),
    "relay_share": ("relay", relay("PHASE_SHARE", "parcel", parcel("1_UM", ""), parcel("2_IU", hexed("p", 784)))),
    "relay_contribute": (
        "relay",
        relay("PHASE_CONTRIBUTE", "parcel", parcel("1_UM", "", CONTEXT), parcel("2_IU", hexed("p", 49), SESSION)),
    ),
    "relay_agree": ("relay", relay("PHASE_AGREE", "agreement", AGREEMENT, second(AGREEMENT))),
    "relay_commit": ("relay", relay("PHASE_COMMIT", "commitment", COMMITMENT, second(COMMITMENT))),
    "relay_open": ("relay", relay("PHASE_OPEN", "opening", OPENING, second(OPENING))),
}  # fmt: skip

KINDS = {"SiteMessage": FROM_SITES, "CoordinatorMessage": FROM_COORDINATOR}


def message_cases() -> Iterator[Case]:
    for kind, messages in KINDS.items():
        for name, (content, fields) in messages.items():
            given = {"kind": kind, "fields": {content: fields}}
            yield Case(f"encode_message_{name}", "encode_message", given)
            data = protobuf.encode(kind, protobuf.from_json(kind, {content: fields}))
            yield Case(f"decode_message_{name}", "decode_message", {"kind": kind, "bytes": data.hex()})
    yield from _not_protobuf()
    for kind, changes in WRONG.items():
        for name, (base, change, sentence) in changes.items():
            content, fields = KINDS[kind][base]
            message = protobuf.from_json(kind, {content: {**fields, **change}})
            given = {"kind": kind, "bytes": protobuf.encode(kind, message).hex()}
            yield Case(f"decode_message_bad_{name}", "decode_message", given, "PeerError", sentence)


def _not_protobuf() -> Iterator[Case]:
    hello = protobuf.encode("SiteMessage", protobuf.from_json("SiteMessage", {"hello": HELLO})).hex()
    unknown, no_protobuf = "of an unknown kind", "not valid protobuf"
    wrong = {
        "nothing": ("", unknown),
        "unknown_kind": ("fa0100", unknown),
        "cut_off": (hello[:-2], no_protobuf),
        "length_beyond_the_end": ("0affffffff0f", no_protobuf),
        "name_that_is_no_utf8": (hello.replace(b"1_UM".hex(), b"1_U\xff".hex(), 1), no_protobuf),
        "varint_without_end": ("ff" * 12, no_protobuf),
    }
    for name, (data, sentence) in wrong.items():
        given = {"kind": "SiteMessage", "bytes": data}
        yield Case(f"decode_message_bad_{name}", "decode_message", given, "PeerError", sentence)
    yield Case(
        "decode_message_bad_answer_of_no_kind", "decode_message", {"kind": "CoordinatorMessage", "bytes": ""},
        "PeerError", unknown,
    )  # fmt: skip


_Changes = Mapping[str, tuple[str, dict[str, Any], str]]
_SITE_CHANGES: _Changes = {
    "no_name": ("hello", {"site": ""}, "name has 1 to 200 bytes"),
    "long_name": ("hello", {"site": "é" * 101}, "name has 1 to 200 bytes"),
    "short_study_digest": ("hello", {"study_digest": "00" * 31}, "study digest has 32 bytes"),
    "short_nonce": ("hello", {"nonce": ""}, "nonce has 32 bytes"),
    "long_mask_key": ("hello", {"mask_public_key": "00" * 33}, "mask key has 32 bytes"),
    "short_signature": ("hello", {"signature": "00" * 63}, "signature has 64 bytes"),
    "short_session_id": ("commitment", {"session_id": "00" * 16}, "session id has 32 bytes"),
    "sum_zero": ("commitment", {"number": 0}, "numbered from 1"),
    "no_vector": ("contribution", {"vector": ""}, "a vector of 0 bytes"),
    "odd_vector": ("contribution", {"vector": "00" * 17}, "a vector of 17 bytes"),
    "shares_without_commitment": ("contribution_with_dropouts", {"commitment": ""}, "or with neither"),
    "short_commitment": ("contribution_with_dropouts", {"commitment": "00" * 31}, "commitment has 32 bytes"),
    "short_share": ("contribution_with_dropouts", {"sealed": ["00" * 48]}, "sealed shares are"),
    "fifteen_keys": ("advertisement", {"mask_keys": ["00" * 32] * 15}, "the keys of 16 sums"),
    "short_key": ("advertisement", {"wrap_keys": ["00" * 31] * 16}, "key of a batch has 32 bytes"),
    "shares_of_one_sum": ("key_shares", {"sealed": SHARES}, "sealed shares are"),
    "no_shares": ("key_shares", {"sealed": []}, "sealed shares are"),
    "too_many_shares": ("key_shares", {"sealed": [""] * 256}, "sealed shares are"),
    "survivors_not_ascending": ("agreement", {"survivors": ["2_IU", "1_UM"]}, "in ascending order"),
    "survivor_twice": ("agreement", {"survivors": ["1_UM", "1_UM"]}, "different names"),
    "no_survivors": ("agreement", {"survivors": []}, "survivors must be"),
    "short_unmasking_share": ("unmasking", {"shares": ["00" * 32]}, "share has 33 bytes"),
    "no_unmasking_shares": ("unmasking", {"shares": []}, "1 to 255 shares"),
    "short_digest": ("commitment", {"digest": "00"}, "commitment has 32 bytes"),
    "no_ciphertexts": ("opening", {"ciphertexts": ""}, "ciphertexts of 0 bytes"),
    "no_partials": ("decryption", {"partials": ""}, "partial decryptions of 0 bytes"),
    "long_sentence": ("refusal", {"sentence": "x" * 2001}, "longer than 2000 bytes"),
    "ready_without_session": ("ready", {"session_id": ""}, "session id has 32 bytes"),
}
_COORDINATOR_CHANGES: _Changes = {
    "no_request": ("next_with_offer", {"request": None}, "unknown question"),
    "short_coordinator_nonce": (
        "next_with_offer", {"offer": {**OFFER, "coordinator_nonce": "00"}}, "coordinator nonce has 32 bytes"
    ),
    "hellos_not_ascending": (
        "next_with_offer", {"offer": {**OFFER, "hellos": [second(HELLO), HELLO]}}, "in ascending order"
    ),
    "no_hellos": ("next_with_offer", {"offer": {**OFFER, "hellos": []}}, "must be 1..255 different names"),
    "participant_twice": ("next_with_offer", {"request": {**REQUEST, "participants": ["a", "a"]}}, "different names"),
    "length_one": ("next_with_offer", {"request": {**REQUEST, "length": 1}}, "a sum of 1 numbers"),
    "length_too_large": ("next_with_offer", {"request": {**REQUEST, "length": 2**18 + 1}}, "a sum of 262145 numbers"),
    "no_question": ("next_with_offer", {"request": {**REQUEST, "question": {}}}, "unknown question"),
    "relay_of_no_phase": ("relay_agree", {"phase": "PHASE_UNSPECIFIED"}, "relays a phase that does not exist"),
    "relay_of_nobody": ("relay_agree", {"parts": []}, "must be 1..255 different names"),
    "relay_of_an_empty_part": ("relay_agree", {"parts": [{}]}, "a part of an unknown kind"),
    "relay_not_ascending": (
        "relay_agree", {"parts": [{"agreement": second(AGREEMENT)}, {"agreement": AGREEMENT}]}, "in ascending order"
    ),
    "parcel_of_another_size": ("relay_share", {"parts": [{"parcel": parcel("1_UM", "00" * 48)}]}, "holds no shares"),
    "parcel_with_a_short_commitment": (
        "relay_contribute", {"parts": [{"parcel": parcel("1_UM", "", "00")}]}, "commitment has 32 bytes"
    ),
    "long_stop": ("stopped", {"sentence": "é" * 1001}, "longer than 2000 bytes"),
}  # fmt: skip
WRONG: Mapping[str, _Changes] = {"SiteMessage": _SITE_CHANGES, "CoordinatorMessage": _COORDINATOR_CHANGES}
