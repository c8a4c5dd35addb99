"""Journal and transcript: what is read back is what was written, and nothing else is read."""

from __future__ import annotations

import base64
import json

import pytest

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum import Hello, JournalRecord, Phase, Relay, SessionOffer, SumRequest
from fedglmm_secure.securesum.messages import Commitment, Opening, Parcel
from fedglmm_secure.wire.codec import encode_site
from fedglmm_secure.wire.messages import Ready
from fedglmm_secure.wire.records import journal_line, read_journal, read_transcript, transcript_line

OFFER = SessionOffer(b"c" * 32, tuple(Hello(name, bytes(32), bytes(32), bytes(32), bytes(64)) for name in "ab"))
REQUEST = SumRequest(b"i" * 32, 3, ("a", "b"), b"\x00\xffquestion", 12)
MADE = (Commitment(b"i" * 32, 3, "a", bytes(32), bytes(64)), Opening(b"i" * 32, 3, "a", bytes(32), b"c"))
RECORDS = [
    JournalRecord(bytes(32), OFFER, ()),
    JournalRecord(b"x" * 32, REQUEST, MADE),
    JournalRecord(b"x" * 32, Relay(b"i" * 32, 3, Phase.COMMIT, (Parcel("a", b""),)), MADE[1:]),
]


def test_records_come_back() -> None:
    content = b"".join(map(journal_line, RECORDS))
    assert list(read_journal(content, "journal.jsonl")) == RECORDS
    assert read_journal(b"", "journal.jsonl") == ()


def test_a_line_that_a_crash_cut_off_is_ignored() -> None:
    first, second = map(journal_line, RECORDS[:2])
    for cut in range(len(second)):
        assert list(read_journal(first + second[:cut], "journal.jsonl")) == RECORDS[:1]


def damaged(**changes: object) -> bytes:
    fields = json.loads(journal_line(RECORDS[1])) | changes
    return json.dumps(fields).encode() + b"\n"


def damaged_request(**changes: object) -> bytes:
    return damaged(received=json.loads(journal_line(RECORDS[1]))["received"] | changes)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"[]\n",
        b"{}\n",
        damaged(context="00"),
        damaged(context=7),
        damaged(received={}),
        damaged(received={"offer": "AAAA"}),
        damaged(received={"relay": "AAAA"}),
        damaged_request(sum=0),
        damaged_request(sum=True),
        damaged_request(participants=["a", "\ud800"]),
        damaged(made=["AAAA"]),
        damaged(made=7),
        damaged(made=[base64.b64encode(encode_site(OFFER.hellos[0])).decode()]),
        damaged(made=[base64.b64encode(encode_site(Ready("a", bytes(32), 1))).decode()]),
    ],
)
def test_anything_else_is_refused_by_name(line: bytes) -> None:
    with pytest.raises(InputError, match=r"journal\.jsonl: is damaged"):
        read_journal(line, "journal.jsonl")


def test_a_transcript_comes_back() -> None:
    messages = [("a", encode_site(MADE[0])), ("b", encode_site(MADE[1]))]
    text = "".join(transcript_line(1.5 * i, site, message) for i, (site, message) in enumerate(messages))
    assert list(read_transcript(text)) == messages
