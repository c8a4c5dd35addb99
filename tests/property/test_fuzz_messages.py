"""Whatever comes over the wire is a message or a PeerError, at once and within little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum.messages import MAX_CIPHERTEXTS_BYTES, MAX_LENGTH
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.limits import MAX_FIELDS, MAX_MESSAGE_BYTES, MAX_RESULT_BYTES
from fedglmm_secure.wire.v1 import exchange_pb2 as pb
from tests.property.mangling import KINDS, VALID, mangled

CODECS: dict[str, tuple[Callable, Callable]] = {
    "SiteMessage": (codec.decode_site, codec.encode_site),
    "CoordinatorMessage": (codec.decode_coordinator, codec.encode_coordinator),
}
thorough = settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def taken(kind: str, data: bytes) -> bool:
    """Whether it is a message; one that is, is the same after another trip."""
    decode, encode = CODECS[kind]
    try:
        message = decode(data)
    except PeerError:
        return False
    again = encode(message)
    assert encode(decode(again)) == again
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_every_valid_message_is_taken(kind):
    assert len(VALID[kind]) > 14
    assert all(taken(kind, data) for data in VALID[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_every_beginning_of_a_valid_message(kind):
    for data in {len(data): data for data in VALID[kind] if len(data) < 3000}.values():
        for end in range(0, len(data), 1 + len(data) // 200):
            taken(kind, data[:end])


@pytest.mark.parametrize("kind", KINDS)
def test_random_bytes(kind):
    @thorough
    @given(st.binary(max_size=300))
    def check(data):
        taken(kind, data)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_mangled_messages(kind):
    @thorough
    @given(mangled(kind))
    def check(data):
        taken(kind, data)

    check()


def varint(value: int) -> bytes:
    made = b""
    while value > 127:
        made, value = made + bytes([value & 127 | 128]), value >> 7
    return made + bytes([value])


def record(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


NUMBERS = [0, 1, 2, 3, 4, 8, 9, 127, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
"""Values at the edges: among them phases, parts and categories that do not exist."""
LEAVES = [b"", bytes(16), bytes(32), bytes(33), bytes(49), bytes(64), b"1_UM", b"2_IU", b"\xff\xfe", *NUMBERS]


def any_fields(random: Random, depth: int = 0) -> bytes:
    """Up to 6 fields of any number, which hold anything, or fields."""
    made = b""
    for _ in range(random.randrange(7)):
        content = any_fields(random, depth + 1) if depth < 5 and random.random() < 0.5 else random.choice(LEAVES)
        made += record(random.randint(1, 13), content)
    return made


NESTED = st.integers(0, 2**32).map(lambda seed: any_fields(Random(seed)))


@pytest.mark.parametrize("kind", KINDS)
def test_any_fields_in_any_nesting(kind):
    @thorough
    @given(NESTED)
    def check(data):
        taken(kind, data)

    check()


@pytest.mark.parametrize("depth", [10, 99, 101, 1000, 20_000])
def test_nesting_without_end(depth):
    nested = b""
    for _ in range(depth):
        nested = record(1, nested) if len(nested) < 100_000 else nested
    groups = varint(100 << 3 | 3) * depth + varint(100 << 3 | 4) * depth
    for kind in KINDS:
        assert not taken(kind, nested)
        assert not taken(kind, groups)


HEAD = record(1, b"i" * 32) + record(2, 3)
SITE = HEAD + record(3, b"1_UM")
ROOM = MAX_MESSAGE_BYTES - 400


def filled(entry: bytes, room: int = ROOM) -> bytes:
    """As many of an entry as there is room for."""
    return entry * (room // len(entry))


def asked(question: bytes) -> bytes:
    request = HEAD + record(3, b"a") + record(3, b"b") + record(4, question) + record(5, 5)
    return record(1, record(2, request))


PARCEL = record(4, record(2, record(1, b"a")))
THETAS = filled(record(1, record(1, bytes(8 * 4096)))) + record(2, 9)
REFUSED = {
    "sealed shares": ("SiteMessage", record(2, SITE + record(4, bytes(16)) + filled(record(6, b"")))),
    "survivors": ("SiteMessage", record(7, SITE + filled(record(4, b"a")))),
    "keys": ("SiteMessage", record(5, SITE + filled(record(4, b"")))),
    "released shares": ("SiteMessage", record(8, SITE + filled(record(4, b"")))),
    "hellos": ("CoordinatorMessage", record(1, record(1, record(1, b"c" * 32) + filled(record(2, b""))))),
    "parcels": ("CoordinatorMessage", record(5, HEAD + record(3, 3) + filled(PARCEL))),
    "participants": ("CoordinatorMessage", record(1, record(2, HEAD + filled(record(3, b""))))),
    "thetas": ("CoordinatorMessage", asked(record(3, filled(record(1, b""))))),
    "long thetas": ("CoordinatorMessage", asked(record(3, THETAS))),
    "columns": ("CoordinatorMessage", asked(record(4, record(2, filled(b"\x01"))))),
    "columns one by one": ("CoordinatorMessage", asked(record(4, filled(record(2, 1))))),
    "unknown fields": ("SiteMessage", filled(record(100, b""))),
    "groups": ("SiteMessage", filled(varint(100 << 3 | 3))),
    "result": ("CoordinatorMessage", record(2, record(1, filled(b"a")))),
    "bytes beyond the limit": ("SiteMessage", bytes(MAX_MESSAGE_BYTES + 1)),
    "a vector": ("SiteMessage", record(2, SITE + record(4, bytes(16 * MAX_LENGTH + 16)))),
}  # fmt: skip
LARGEST = {
    "a vector": ("SiteMessage", record(2, SITE + record(4, bytes(16 * MAX_LENGTH)))),
    "ciphertexts": ("SiteMessage", record(10, SITE + record(4, bytes(32)) + record(5, bytes(MAX_CIPHERTEXTS_BYTES)))),
    "a result": ("CoordinatorMessage", record(2, record(1, b"a" * MAX_RESULT_BYTES))),
    "a question": ("CoordinatorMessage", asked(record(3, record(1, record(1, bytes(8 * 4096))) * 40 + record(2, 9)))),
}  # fmt: skip


def cost(kind: str, data: bytes) -> tuple[float, float]:
    """Peak of Python's memory in bytes for each byte of the message, and processor seconds."""
    tracemalloc.start()
    start = time.process_time()
    try:
        CODECS[kind][0](data)
    except PeerError:
        pass
    finally:
        seconds = time.process_time() - start
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak / len(data), seconds


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_much_is_refused_before_it_takes_up_memory(name):
    kind, data = REFUSED[name]
    assert not taken(kind, data)
    memory, seconds = cost(kind, data)
    assert memory < 2
    assert seconds < 5


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_messages_take_a_few_times_their_size(name):
    kind, data = LARGEST[name]
    assert taken(kind, data)
    memory, seconds = cost(kind, data)
    assert memory < 16
    assert seconds < 5


def test_protobuf_never_sees_more_fields_than_the_limit(monkeypatch):
    """What protobuf itself takes up is not Python's memory: 100 bytes for a field of 2. So it is not asked."""
    seen = []
    monkeypatch.setattr(pb, "SiteMessage", lambda: Watched(seen))
    for count, reached in ((MAX_FIELDS, True), (MAX_FIELDS + 1, False)):
        seen.clear()
        with pytest.raises(PeerError):
            codec.decode_site(record(100, b"") * count)
        assert bool(seen) == reached


class Watched:
    """A message that notes what it is asked to read."""

    DESCRIPTOR = pb.SiteMessage.DESCRIPTOR

    def __init__(self, seen: list[bytes]) -> None:
        self._seen = seen

    def ParseFromString(self, data: bytes) -> None:
        self._seen.append(data)

    def WhichOneof(self, name: str) -> None:
        return None


@settings(max_examples=800, deadline=None, derandomize=True)
@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), mangled(kind) | NESTED)))
def test_the_count_of_fields_refuses_nothing_that_protobuf_takes(given):
    kind, data = given
    try:
        getattr(pb, kind).FromString(data)
    except codec.DecodeError:
        return
    codec.check_fields(data, getattr(pb, kind)())
