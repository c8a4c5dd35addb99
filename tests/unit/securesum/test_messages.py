"""What can be valid in no session is refused when the message is made."""

from __future__ import annotations

import pytest

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum import Hello, JournalRecord, Phase, Relay, SessionOffer, SumRequest
from fedglmm_secure.securesum.messages import (
    Advertisement,
    Agreement,
    Commitment,
    Contribution,
    Decryption,
    KeyShares,
    Opening,
    Parcel,
    Unmasking,
)

HELLO = {
    "site": "a",
    "study_digest": bytes(32),
    "nonce": bytes(32),
    "mask_public_key": bytes(32),
    "signature": bytes(64),
}
REQUEST = {
    "session_id": bytes(32),
    "number": 1,
    "participants": ("a", "b"),
    "question": b"q",
    "length": 2,
}
CONTRIBUTION = {"session_id": bytes(32), "number": 1, "site": "a", "vector": bytes(16)}


@pytest.mark.parametrize(
    "change",
    [
        {"site": ""},
        {"site": "x" * 201},
        {"study_digest": bytes(31)},
        {"nonce": bytes(33)},
        {"mask_public_key": b""},
        {"signature": bytes(63)},
    ],
)
def test_hello(change):
    Hello(**HELLO)
    with pytest.raises(PeerError):
        Hello(**(HELLO | change))


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": b""},
        {"number": 0},
        {"participants": ()},
        {"participants": ("b", "a")},
        {"participants": ("a", "a")},
        {"participants": tuple(f"{i:03}" for i in range(256))},
        {"question": b""},
        {"question": bytes(2**23 + 1)},
        {"length": 1},
        {"length": 2**18 + 1},
    ],
)
def test_sum_request(change):
    SumRequest(**REQUEST)
    with pytest.raises(PeerError):
        SumRequest(**(REQUEST | change))


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": bytes(31)},
        {"number": 0},
        {"site": ""},
        {"vector": b""},
        {"vector": bytes(17)},
        {"vector": bytes(16 * (2**18 + 1))},
    ],
)
def test_contribution(change):
    Contribution(**CONTRIBUTION)
    with pytest.raises(PeerError):
        Contribution(**(CONTRIBUTION | change))


def test_offer_is_in_ascending_order():
    a, b = Hello(**HELLO), Hello(**(HELLO | {"site": "b"}))
    SessionOffer(bytes(32), (a, b))
    for hellos in [(b, a), (a, a), ()]:
        with pytest.raises(PeerError, match="ascending order"):
            SessionOffer(bytes(32), hellos)
    with pytest.raises(PeerError, match="coordinator nonce"):
        SessionOffer(b"", (a, b))


def test_journal_record():
    with pytest.raises(PeerError, match="context"):
        JournalRecord(b"", SumRequest(**REQUEST), (Contribution(**CONTRIBUTION),))


HEAD = {"session_id": bytes(32), "number": 1, "site": "a"}
ADVERTISEMENT = HEAD | {"wrap_keys": (bytes(32),) * 16, "mask_keys": (bytes(32),) * 16, "signature": bytes(64)}
KEY_SHARES = HEAD | {"sealed": (b"", bytes(16 * 49))}
TOLERANT = CONTRIBUTION | {"commitment": bytes(32), "sealed": (b"", bytes(49))}
AGREEMENT = HEAD | {"survivors": ("a", "b"), "signature": bytes(64)}
UNMASKING = HEAD | {"shares": (bytes(33),) * 2}
COMMITMENT = HEAD | {"digest": bytes(32), "signature": bytes(64)}
OPENING = HEAD | {"nonce": bytes(32), "ciphertexts": b"c"}
DECRYPTION = HEAD | {"partials": b"p"}
PARCEL = {"site": "a", "sealed": bytes(49), "commitment": bytes(32)}
RELAY = {"session_id": bytes(32), "number": 1, "phase": Phase.SHARE, "parts": (Parcel("a", b""), Parcel("b", b""))}
BULK = 2**23 + 1
NAMES = tuple(f"{i:03}" for i in range(256))


@pytest.mark.parametrize(
    ("kind", "fields", "change"),
    [
        *((kind, fields, change)
          for kind, fields in (
              (Advertisement, ADVERTISEMENT), (KeyShares, KEY_SHARES), (Contribution, TOLERANT),
              (Agreement, AGREEMENT), (Unmasking, UNMASKING), (Commitment, COMMITMENT), (Opening, OPENING),
              (Decryption, DECRYPTION),
          )
          for change in ({"session_id": bytes(31)}, {"number": 0}, {"site": ""}, {"site": "x" * 201})),
        (Advertisement, ADVERTISEMENT, {"wrap_keys": (bytes(32),) * 15}),
        (Advertisement, ADVERTISEMENT, {"mask_keys": (bytes(32),) * 17}),
        (Advertisement, ADVERTISEMENT, {"wrap_keys": (bytes(32),) * 15 + (bytes(31),)}),
        (Advertisement, ADVERTISEMENT, {"mask_keys": (b"",) + (bytes(32),) * 15}),
        (Advertisement, ADVERTISEMENT, {"signature": bytes(63)}),
        (KeyShares, KEY_SHARES, {"sealed": ()}),
        (KeyShares, KEY_SHARES, {"sealed": (b"", bytes(49))}),
        (KeyShares, KEY_SHARES, {"sealed": (b"",) * 256}),
        (Contribution, TOLERANT, {"commitment": b""}),
        (Contribution, TOLERANT, {"sealed": ()}),
        (Contribution, TOLERANT, {"commitment": bytes(31)}),
        (Contribution, TOLERANT, {"sealed": (b"", bytes(48))}),
        (Agreement, AGREEMENT, {"survivors": ()}),
        (Agreement, AGREEMENT, {"survivors": ("b", "a")}),
        (Agreement, AGREEMENT, {"survivors": ("a", "a")}),
        (Agreement, AGREEMENT, {"survivors": NAMES}),
        (Agreement, AGREEMENT, {"signature": b""}),
        (Unmasking, UNMASKING, {"shares": ()}),
        (Unmasking, UNMASKING, {"shares": (bytes(32),)}),
        (Unmasking, UNMASKING, {"shares": (bytes(33),) * 256}),
        (Commitment, COMMITMENT, {"digest": bytes(31)}),
        (Commitment, COMMITMENT, {"signature": bytes(65)}),
        (Opening, OPENING, {"nonce": b""}),
        (Opening, OPENING, {"ciphertexts": b""}),
        (Opening, OPENING, {"ciphertexts": bytes(BULK)}),
        (Decryption, DECRYPTION, {"partials": b""}),
        (Decryption, DECRYPTION, {"partials": bytes(BULK)}),
        (Parcel, PARCEL, {"site": ""}),
        (Parcel, PARCEL, {"sealed": bytes(48)}),
        (Parcel, PARCEL, {"commitment": bytes(31)}),
        (Relay, RELAY, {"session_id": b""}),
        (Relay, RELAY, {"number": 0}),
        (Relay, RELAY, {"parts": ()}),
        (Relay, RELAY, {"parts": (Parcel("b", b""), Parcel("a", b""))}),
        (Relay, RELAY, {"parts": (Parcel("a", b""), Parcel("a", b""))}),
        (Relay, RELAY, {"parts": tuple(Parcel(name, b"") for name in NAMES)}),
    ],
)  # fmt: skip
def test_what_no_phase_has(kind, fields, change):
    kind(**fields)
    with pytest.raises(PeerError):
        kind(**(fields | change))
