"""Whatever stands in a file that came from elsewhere, or that a disk damaged, is read or refused by name."""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from contextlib import suppress
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_coordinator.store import Store
from fedglmm_secure.errors import FedglmmError, InputError
from fedglmm_secure.exchange.ledger import Opened
from fedglmm_secure.securesum import JournalRecord, Phase, Relay, SessionOffer, SumRequest
from fedglmm_secure.securesum.messages import Hello
from fedglmm_secure.study import Study
from fedglmm_secure.wire import codec, identity
from fedglmm_secure.wire.key_share import deal_key, open_share, share_file
from fedglmm_secure.wire.messages import Next, Ready
from fedglmm_secure.wire.records import journal_line, read_journal, read_transcript, transcript_line
from tests.property.mangling import VALID, mangle

many = settings(max_examples=200, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def records() -> list[JournalRecord]:
    """One of each kind, of messages from the vectors."""
    made = []
    for data in VALID["CoordinatorMessage"]:
        message = codec.decode_coordinator(data)
        if isinstance(message, Relay):
            made.append(JournalRecord(bytes(32), message, ()))
        elif isinstance(message, Next):
            made.append(JournalRecord(bytes(32), message.request, ()))
            if message.offer is not None:
                made.append(JournalRecord(bytes(32), message.offer, ()))
    replies = [codec.decode_site(data) for data in VALID["SiteMessage"]]
    of_sums = [reply for reply in replies if hasattr(reply, "number")]
    made += [JournalRecord(bytes(32), made[0].received, (reply,)) for reply in of_sums]
    return [record for record in made if len(journal_line(record)) < 6000]


RECORDS = records()
LINES = [journal_line(record) for record in RECORDS]
ASKED = next(journal_line(record) for record in RECORDS if isinstance(record.received, SumRequest))


def journal_of(content: bytes) -> tuple[JournalRecord, ...]:
    """The records of a journal that can be read, none of another; any error but an InputError fails the test."""
    try:
        read = read_journal(content, "journal.jsonl")
    except InputError:
        return ()
    for record in read:  # what was read can be written, and used
        assert journal_line(record)
        if isinstance(record.received, SumRequest):
            assert isinstance(record.received.number, int)
            assert all(isinstance(name, str) for name in record.received.participants)
    return read


@many
@given(st.sampled_from(LINES), SEEDS)
def test_mangled_journal_lines(line, seed):
    journal_of(mangle(line, Random(seed)) + b"\n")


@many
@given(st.sampled_from(LINES), st.sampled_from(["context", "received", "made", "phase"]), JSON)
def test_journal_lines_with_anything_in_a_field(line, key, junk):
    journal_of(json.dumps(json.loads(line) | {key: junk}).encode() + b"\n")


@many
@given(st.sampled_from(["session", "sum", "participants", "question", "length", "offer", "relay"]), JSON)
def test_journal_lines_with_anything_received(key, junk):
    fields = json.loads(ASKED)
    journal_of(json.dumps(fields | {"received": fields["received"] | {key: junk}}).encode() + b"\n")


@pytest.mark.parametrize("opening", [b"[", b'{"made":', b'{"received":{"relay":['])
def test_nesting_without_end_in_a_journal(opening):
    assert journal_of(opening * 100_000 + b"\n") == ()


def test_a_journal_without_damage_comes_back():
    kinds = {type(record.received) for record in RECORDS}
    assert kinds == {SessionOffer, SumRequest, Relay}
    assert journal_of(b"".join(LINES)) == tuple(RECORDS)


TRANSCRIPT = transcript_line(1.5, "1_UM", VALID["SiteMessage"][0]).encode()


def read_or_refused(text: str) -> None:
    with suppress(InputError):
        for site, message in read_transcript(text):
            assert isinstance(site, str)
            assert isinstance(message, bytes)


@many
@given(SEEDS)
def test_mangled_transcript_lines(seed):
    read_or_refused(mangle(TRANSCRIPT, Random(seed)).decode(errors="replace"))


@many
@given(st.sampled_from(["site", "message", "time"]), JSON)
def test_transcript_lines_with_anything_in_a_field(key, junk):
    read_or_refused(json.dumps(json.loads(TRANSCRIPT) | {key: junk}))


def test_nesting_without_end_in_a_transcript():
    read_or_refused(TRANSCRIPT.decode() + "[" * 100_000)


IDENTITIES = [identity.generate() for _ in range(3)]
STUDY = """
[study]
id = "trial-1"
title = "A trial"

[model]
formula = "y ~ x + (1 | site)"
family = "binomial"
penalty = [0, 0.5, 10]
selection = "aic"

[variables]
y = {type = "binary", levels = [0, 1]}
x = {type = "numeric", range = [-1.5, 1e3]}
""" + "".join(
    f"""
[[sites]]
name = "site-{i}"
public_key = "{own.public_key}"
encryption_key = "{own.encryption_key}"
"""
    for i, own in enumerate(IDENTITIES)
)


def parsed(text: str) -> Study | None:
    """The study, if it is one; any error but an InputError fails the test."""
    start = time.process_time()
    try:
        return Study.parse(text, "study.toml")
    except InputError:
        return None
    finally:
        assert time.process_time() - start < 10


def test_the_study_that_is_mangled_is_one():
    assert parsed(STUDY) is not None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SEEDS)
def test_mangled_studies(seed):
    study = parsed(mangle(STUDY.encode(), Random(seed)).decode(errors="replace"))
    assert study is None or len(study.digest) == 32


@pytest.mark.parametrize(
    "line",
    [
        "id = " + "1" * 5000,
        "id = 0x" + "f" * 100_000,
        "id = 1e" + "9" * 5000,
        "id = " + "[" * 100_000,
        "id = " + "{a = " * 100_000,
        "a" + ".a" * 200_000 + " = 1",
        '"\u2028".' * 100_000 + "a = 1",
        "[a" + ".a" * 200_000 + "]",
        "\n".join(f"k{i} = 1" for i in range(20_000)),
        "[[sites]]\n" * 20_000,
        'id = "' + "x" * 900_000 + '"',
        "id = '''" + "\n" * 900_000 + "'''",
        'id = "\\uD800"',
        "id = 9999-99-99",
        "#" * 2_000_000,
    ],
    ids=lambda line: line[:12],
)
def test_studies_that_are_hard_to_read_are_refused_soon(line):
    assert parsed(STUDY.replace("[model]", line + "\n[model]")) is None


@pytest.fixture(scope="module")
def dealt() -> tuple[Study, bytes]:
    """A study with a key, and the share file of its first site."""
    dealing = deal_key(Study.parse(STUDY, "study.toml"), 2048, Random(1).randbytes)
    return dealing.study, share_file(dealing.study, "site-0", dealing.shares["site-0"])


def opened(data: bytes, study: Study) -> bool:
    """Whether a share file opens; any error but an InputError fails the test."""
    try:
        open_share(data, IDENTITIES[0], study)
    except InputError:
        return False
    return True


def test_mangled_share_files(dealt):
    study, file = dealt
    assert opened(file, study)
    for seed in range(200):
        opened(mangle(file, Random(seed)), study)


@pytest.mark.parametrize(
    "sealed",
    ["", "AAAA", "é", "=", "A" * 43 + "=", "A" * 100, base64.b64encode(bytes(200)).decode(), "A" * 900_000],
    ids=lambda text: text[:8],
)
def test_share_files_that_hold_no_share(dealt, sealed):
    study, file = dealt
    head, _, _ = file.decode().partition("sealed = ")
    assert not opened((head + f'sealed = "{sealed}"\n').encode(), study)


@pytest.mark.parametrize("text", ["a = " + "1" * 5000, "a" + ".a" * 200_000 + " = 1", "[" * 100_000, "\0", ""])
def test_files_that_are_no_share_files(dealt, text):
    assert not opened(text.encode(), dealt[0])


SUM = Opened(b"question", ("a", "b"), ("a", "b"), np.array([1.0, 2.0]))


CONTRIBUTION = 2 << 3 | 2
"""The first byte of one."""


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    """A store of a session in its second sum."""
    path = tmp_path_factory.mktemp("store") / "store.sqlite"
    offer = next(record.received for record in RECORDS if isinstance(record.received, SessionOffer))
    with Store(path, Study.parse(STUDY, "study.toml")) as store:
        store.sent["a"] = 7
        store.opened_session(offer)
        store.opened_sum(1, SUM)
        reply = next(codec.decode_site(data) for data in VALID["SiteMessage"] if data[0] == CONTRIBUTION)
        store.closed_phase(2, Phase.CONTRIBUTE, [reply])
        store.finish("{}")
    return path


READY = codec.encode_site(Ready("1_UM", bytes(32), 1))
HELLO = codec.encode_site(Hello("1_UM", bytes(32), bytes(32), bytes(32), bytes(64)))
PLACES = {
    "offer": "UPDATE facts SET content = ? WHERE name = 'offer'",
    "bytes": "UPDATE facts SET content = ? WHERE name = 'bytes'",
    "result": "UPDATE facts SET content = ? WHERE name = 'result'",
    "digest": "UPDATE facts SET content = ? WHERE name = 'digest'",
    "message": "UPDATE messages SET content = ?",
    "total": "UPDATE sums SET total = ?",
    "question": "UPDATE sums SET question = ?",
}
TEXTS = {"cohort": "UPDATE sums SET cohort = ?", "participants": "UPDATE sums SET participants = ?"}


def read_all(store: Store) -> None:
    """All that a coordinator reads; any error but an InputError fails the test."""
    for read in (store.standing, lambda: store.bytes_sent, lambda: store.result):
        with suppress(InputError):
            read()


def damaged(path, statement: str, content: bytes | str) -> None:
    """Read a store with other content in one place, and put it back; any error but a FedglmmError fails the test."""
    whole = path.read_bytes()
    with sqlite3.connect(path) as database:
        database.execute(statement, (content,))
    database.close()
    try:
        with suppress(FedglmmError), Store(path, Study.parse(STUDY, "study.toml")) as store:
            read_all(store)
    finally:
        path.write_bytes(whole)


def test_a_whole_store_is_read(store_path):
    with Store(store_path, Study.parse(STUDY, "study.toml")) as store:
        standing = store.standing()
        assert standing is not None
        assert standing.sums[0].total.tolist() == [1.0, 2.0]
        assert (store.bytes_sent, store.result) == ({"a": 7}, "{}")


@pytest.mark.parametrize("place", PLACES)
def test_facts_of_a_store(store_path, place):
    contents = [
        b"",
        b"\xff",
        b"[",
        b"[1]",
        b'{"a": {}}',
        b"null",
        b"[" * 100_000,
        READY,
        HELLO,
        *VALID["SiteMessage"][:3],
    ]
    for content in contents:
        damaged(store_path, PLACES[place], content)


@pytest.mark.parametrize("place", TEXTS)
def test_texts_of_a_store(store_path, place):
    for content in ("", "[", "[" * 100_000, "null", "7", "{}", '["b", "a"]', "[1]", '"a"', '["\\ud800"]', "[[]]"):
        damaged(store_path, TEXTS[place], content)


def test_a_store_file_that_a_disk_damaged(store_path, tmp_path):
    whole = store_path.read_bytes()
    for seed in range(40):
        random, path = Random(seed), tmp_path / f"{seed}.sqlite"
        damage = bytearray(whole)
        for _ in range(random.choice([1, 10, 200])):
            damage[random.randrange(len(damage))] = random.randrange(256)
        path.write_bytes(bytes(damage))
        with suppress(FedglmmError), Store(path, Study.parse(STUDY, "study.toml")) as store:
            read_all(store)
