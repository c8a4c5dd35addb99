"""Messages survive the wire unchanged; anything else is refused with PeerError."""

from __future__ import annotations

import contextlib
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_secure.errors import FedglmmError, FitError, PeerError, RefusalError
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Describe, MarginalDerivatives
from fedglmm_secure.securesum import Hello, Phase, Relay, SessionOffer, SumRequest
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
from fedglmm_secure.wire.codec import (
    METHOD,
    decode_coordinator,
    decode_site,
    encode_coordinator,
    encode_site,
)
from fedglmm_secure.wire.limits import MAX_MESSAGE_BYTES, MAX_RESULT_BYTES
from fedglmm_secure.wire.messages import Finished, Next, Ready, Refusal, SayHello, Stopped, Wait
from fedglmm_secure.wire.sums import REPLIES
from fedglmm_secure.wire.v1 import exchange_pb2 as pb

HELLO = Hello("1_UM", bytes(32), b"n" * 32, b"k" * 32, b"s" * 64)
OFFER = SessionOffer(b"c" * 32, (HELLO, replace(HELLO, site="2_IU", nonce=b"m" * 32)))
ASKED = MarginalDerivatives((0.1, -math.pi, 1e-300), 9, (0, 2), (602.0, 0.0))


def request_for(question, number=1) -> SumRequest:
    return SumRequest(b"i" * 32, number, ("1_UM", "2_IU"), questions.encode(question), 12)


HEAD = (b"i" * 32, 3, "1_UM")
ADVERTISEMENT = Advertisement(*HEAD, (b"w" * 32,) * 16, (b"m" * 32,) * 16, b"s" * 64)
AGREEMENT = Agreement(*HEAD, ("1_UM", "2_IU"), b"s" * 64)
COMMITMENT = Commitment(*HEAD, b"d" * 32, b"s" * 64)
OPENING = Opening(*HEAD, b"n" * 32, b"ciphertexts")
SITE_MESSAGES = [
    HELLO,
    Contribution(*HEAD, bytes(range(48))),
    Contribution(*HEAD, bytes(range(48)), b"c" * 32, (b"", b"s" * 49)),
    Ready("1_UM", b"i" * 32, 7),
    Ready("1_UM", b"i" * 32, 7, Phase.AGREE),
    ADVERTISEMENT,
    KeyShares(*HEAD, (b"", b"s" * 16 * 49)),
    AGREEMENT,
    Unmasking(*HEAD, (b"u" * 33, b"v" * 33)),
    COMMITMENT,
    OPENING,
    Decryption(*HEAD, b"partials"),
]
RELAYS = [
    Relay(b"i" * 32, 3, phase, (part, replace(part, site="2_IU")))
    for phase, part in [
        (Phase.ADVERTISE, ADVERTISEMENT),
        (Phase.SHARE, Parcel("1_UM", b"s" * 16 * 49)),
        (Phase.CONTRIBUTE, Parcel("1_UM", b"s" * 49, b"c" * 32)),
        (Phase.AGREE, AGREEMENT),
        (Phase.COMMIT, COMMITMENT),
        (Phase.OPEN, OPENING),
    ]
]
COORDINATOR_MESSAGES = [
    Next(OFFER, request_for(Describe()), Describe()),
    Next(None, request_for(ASKED, 2), ASKED),
    Finished('{"format": "fedglmm-result/1"}'),
    Wait(),
    SayHello(),
    *RELAYS,
]


@pytest.mark.parametrize("message", SITE_MESSAGES, ids=lambda m: type(m).__name__)
def test_site_messages_survive(message):
    assert decode_site(encode_site(message)) == message


@pytest.mark.parametrize("message", COORDINATOR_MESSAGES, ids=lambda m: type(m).__name__)
def test_coordinator_messages_survive(message):
    assert decode_coordinator(encode_coordinator(message)) == message


@pytest.mark.parametrize("error", [RefusalError("no"), FitError("separated"), PeerError("replay")])
def test_errors_survive_with_class_and_sentence(error):
    refusal = decode_site(encode_site(Refusal("1_UM", error)))
    stopped = decode_coordinator(encode_coordinator(Stopped(error)))
    for received in (refusal.error, stopped.error):
        assert type(received) is type(error)
        assert str(received) == str(error)


def test_a_long_sentence_is_cut_between_characters():
    sent = decode_site(encode_site(Refusal("1_UM", RefusalError("é" * 3000))))
    assert str(sent.error) == "é" * 1000


def test_method_is_that_of_the_proto():
    assert METHOD == "/fedglmm_secure.wire.v1.Coordinator/Exchange"


def test_question_that_the_sum_is_not_bound_to_is_never_sent():
    with pytest.raises(PeerError, match="bound to"):
        encode_coordinator(Next(None, request_for(Describe(), 2), ASKED))


def marginal(**changes: object) -> bytes:
    values = {"theta": [0.0], "nodes": 1, "columns": [0], "description": [1.0]} | changes
    question = pb.Question(marginal_derivatives=pb.MarginalDerivatives(**values))
    request = pb.SumRequest(session_id=bytes(32), number=2, participants=["a"], length=2, question=question)
    return pb.CoordinatorMessage(next=pb.Next(request=request)).SerializeToString()


def relay(**changes: object) -> bytes:
    values = {
        "session_id": bytes(32),
        "number": 1,
        "phase": pb.PHASE_SHARE,
        "parts": [pb.RelayPart(parcel=pb.Parcel(site="a"))],
    } | changes
    return pb.CoordinatorMessage(relay=pb.Relay(**values)).SerializeToString()


def test_the_relay_that_the_changed_ones_are_changed_from():
    assert decode_coordinator(relay()) == Relay(bytes(32), 1, Phase.SHARE, (Parcel("a", b""),))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        bytes(MAX_MESSAGE_BYTES + 1),
        pb.CoordinatorMessage(next=pb.Next()).SerializeToString(),
        pb.CoordinatorMessage(next=pb.Next(request=pb.SumRequest())).SerializeToString(),
        pb.CoordinatorMessage(stopped=pb.Stopped(category=9, sentence="?")).SerializeToString()[:-3],
        marginal(theta=[math.nan]),
        marginal(theta=[math.inf]),
        marginal(description=[-math.inf]),
        marginal(nodes=0),
        marginal(nodes=101),
        pb.CoordinatorMessage(relay=pb.Relay(session_id=bytes(32), number=1, phase=99)).SerializeToString(),
        relay(phase=pb.PHASE_UNSPECIFIED),
        relay(number=0),
        relay(session_id=b"short"),
        relay(parts=[]),
        relay(parts=[pb.RelayPart()]),
        relay(parts=[pb.RelayPart(parcel=pb.Parcel(site="a"))] * 2),
        relay(parts=[pb.RelayPart(parcel=pb.Parcel(site="a", sealed=b"short"))]),
        relay(parts=[pb.RelayPart(parcel=pb.Parcel(site="a", commitment=b"short"))]),
        relay(parts=[pb.RelayPart(opening=pb.Opening(session_id=bytes(32), number=1, site="a", nonce=bytes(32)))]),
    ],
)
def test_what_no_coordinator_sends(data):
    with pytest.raises(PeerError):
        decode_coordinator(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        bytes(MAX_MESSAGE_BYTES + 1),
        pb.SiteMessage(hello=pb.Hello()).SerializeToString(),
        pb.SiteMessage(contribution=pb.Contribution(session_id=bytes(32), number=1, site="a")).SerializeToString(),
        pb.SiteMessage(ready=pb.Ready(site="a", session_id=b"short")).SerializeToString(),
        pb.SiteMessage(ready=pb.Ready(site="a", session_id=bytes(32), phase=99)).SerializeToString(),
        # well-formed fields, of which a name is no UTF-8
        pb.SiteMessage(ready=pb.Ready(site="name", session_id=bytes(32)))
        .SerializeToString()
        .replace(b"name", b"n\xff\xffe"),
        pb.SiteMessage(refusal=pb.Refusal(site="a", sentence="x" * 2001)).SerializeToString(),
        *(
            pb.SiteMessage(**{kind: {"session_id": bytes(32), "number": 1, "site": "a"}}).SerializeToString()
            for kind in ("advertisement", "key_shares", "agreement", "unmasking", "commitment", "opening", "decryption")
        ),
    ],
)
def test_what_no_site_sends(data):
    with pytest.raises(PeerError):
        decode_site(data)


def test_size_caps_hold_for_messages_that_are_otherwise_valid():
    padding = pb.SiteMessage(ready=pb.Ready(site="a" * MAX_MESSAGE_BYTES, session_id=bytes(32)))
    with pytest.raises(PeerError, match="is larger than"):
        decode_site(padding.SerializeToString())
    with pytest.raises(PeerError, match="result is larger than"):
        decode_coordinator(encode_coordinator(Finished(" " * (MAX_RESULT_BYTES + 1))))


def test_unknown_category_is_a_breach_of_the_protocol():
    data = pb.SiteMessage(refusal=pb.Refusal(site="a", category=77, sentence="no")).SerializeToString()
    received = decode_site(data)
    assert type(received.error) is PeerError


def test_every_field_of_the_messages_of_a_sum_has_its_name_on_the_wire():
    """``sums`` copies by name: a field without its counterpart would raise something that is not of our errors."""
    for kind in (*REPLIES.values(), Parcel, Hello):
        assert {field.name for field in fields(kind)} == set(getattr(pb, kind.__name__).DESCRIPTOR.fields_by_name)
    assert {f"PHASE_{phase.name}" for phase in Phase} == set(pb.Phase.keys()) - {"PHASE_UNSPECIFIED"}


VALID = [*map(encode_site, SITE_MESSAGES), *map(encode_coordinator, COORDINATOR_MESSAGES)]


@given(data=st.binary(max_size=400))
@settings(max_examples=500)
def test_random_bytes_only_ever_raise_our_errors(data):
    for decode in (decode_site, decode_coordinator):
        with contextlib.suppress(FedglmmError):
            decode(data)


@given(data=st.sampled_from(VALID), edits=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=4))
@settings(max_examples=500)
def test_damaged_messages_only_ever_raise_our_errors(data, edits):
    damaged = bytearray(data)
    for position, value in edits:
        damaged[position % len(damaged)] = value
    for decode in (decode_site, decode_coordinator):
        for cut in (len(damaged), len(damaged) // 2):
            with contextlib.suppress(FedglmmError):
                decode(bytes(damaged[:cut]))
