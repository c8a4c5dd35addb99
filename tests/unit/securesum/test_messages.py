"""What can be valid in no session is refused when the message is made."""

from __future__ import annotations

import pytest

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum import Hello, JournalRecord, SessionOffer, SumRequest
from fedglmm_secure.securesum.messages import Contribution

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
