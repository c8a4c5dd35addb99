"""Messages to protobuf and back. Decoding is strict: what is missing, unknown or too large is refused."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError, Message

from fedglmm_secure.errors import FedglmmError, PeerError
from fedglmm_secure.model import questions
from fedglmm_secure.securesum.messages import Hello, Relay, SumRequest
from fedglmm_secure.wire import status, sums
from fedglmm_secure.wire.limits import MAX_MESSAGE_BYTES, MAX_RESULT_BYTES, MAX_SENTENCE_BYTES
from fedglmm_secure.wire.messages import (
    CoordinatorMessage,
    Finished,
    Next,
    Ready,
    Refusal,
    SayHello,
    SendAgain,
    SiteMessage,
    Stopped,
    Wait,
)
from fedglmm_secure.wire.question import question_from_pb, question_to_pb
from fedglmm_secure.wire.scan import check_fields
from fedglmm_secure.wire.v1 import exchange_pb2 as pb

METHOD = f"/{pb.DESCRIPTOR.services_by_name['Coordinator'].full_name}/Exchange"
"""The one gRPC method. It is called with bytes, so that this module alone decides what is a valid message."""


_WORDLESS: Mapping[str, type[Wait | SayHello | SendAgain]] = {
    "wait": Wait,
    "say_hello": SayHello,
    "send_again": SendAgain,
}


def encode_site(message: SiteMessage) -> bytes:
    """The protobuf bytes of what a site sends."""
    match message:
        case Hello():
            content = pb.SiteMessage(hello=sums.hello_to_pb(message))
        case Ready():
            phase = sums.phase_to_pb(message.phase)
            ready = pb.Ready(site=message.site, session_id=message.session_id, last_sum=message.last_sum, phase=phase)
            content = pb.SiteMessage(ready=ready)
        case Refusal():
            category, sentence = _words(message.error)
            refusal = pb.Refusal(site=message.site, category=category, sentence=sentence)
            content = pb.SiteMessage(refusal=refusal)
        case _:
            content = pb.SiteMessage(**sums.reply_to_pb(message))  # type: ignore[arg-type]
    return content.SerializeToString(deterministic=True)


def decode_site(data: bytes) -> SiteMessage:
    """What a site sent; PeerError for anything that no site of this version sends."""
    message = pb.SiteMessage()
    _parse(message, data)
    match message.WhichOneof("content"):
        case "hello":
            return sums.hello_from_pb(message.hello)
        case "ready":
            ready = message.ready
            return Ready(ready.site, ready.session_id, ready.last_sum, sums.phase_from_pb(ready.phase))
        case "refusal":
            return Refusal(message.refusal.site, _error(message.refusal.category, message.refusal.sentence))
        case None:
            raise PeerError("a site sent a message of an unknown kind; use the same version everywhere")
        case kind:
            return sums.reply_from_pb(kind, getattr(message, kind))


def encode_coordinator(message: CoordinatorMessage) -> bytes:
    """The protobuf bytes of what the coordinator answers."""
    match message:
        case Next():
            content = pb.CoordinatorMessage(next=_next_to_pb(message))
        case Finished():
            content = pb.CoordinatorMessage(finished=pb.Finished(result_json=message.result_json))
        case Stopped():
            category, sentence = _words(message.error)
            content = pb.CoordinatorMessage(stopped=pb.Stopped(category=category, sentence=sentence))
        case Relay():
            content = pb.CoordinatorMessage(relay=sums.relay_to_pb(message))
        case Wait():
            content = pb.CoordinatorMessage(wait=pb.Wait())
        case SayHello():
            content = pb.CoordinatorMessage(say_hello=pb.SayHello())
        case SendAgain():
            content = pb.CoordinatorMessage(send_again=pb.SendAgain())
    return content.SerializeToString(deterministic=True)


def decode_coordinator(data: bytes) -> CoordinatorMessage:
    """What the coordinator answered; PeerError for anything that no coordinator of this version answers."""
    message = pb.CoordinatorMessage()
    _parse(message, data)
    match message.WhichOneof("content"):
        case "next":
            return _next_from_pb(message.next)
        case "finished":
            if len(message.finished.result_json) > MAX_RESULT_BYTES:
                raise PeerError(f"the coordinator's result is larger than {MAX_RESULT_BYTES} bytes")
            return Finished(message.finished.result_json)
        case "stopped":
            return Stopped(_error(message.stopped.category, message.stopped.sentence))
        case "relay":
            return sums.relay_from_pb(message.relay)
        case str(kind) if kind in _WORDLESS:
            return _WORDLESS[kind]()
        case _:
            raise PeerError("the coordinator sent a message of an unknown kind; use the same version everywhere")


def _parse(message: Message, data: bytes) -> None:
    if len(data) > MAX_MESSAGE_BYTES:
        raise PeerError(f"a message of {len(data)} bytes is larger than {MAX_MESSAGE_BYTES} bytes")
    check_fields(data, message)
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise PeerError("a message is not valid protobuf; use the same version everywhere") from error


def _words(error: FedglmmError) -> tuple[pb.Category, str]:
    return status.category_of(error), status.clip_sentence(str(error))


def _error(category: int, sentence: str) -> FedglmmError:
    if len(sentence.encode()) > MAX_SENTENCE_BYTES:
        raise PeerError(f"a peer's sentence is longer than {MAX_SENTENCE_BYTES} bytes")
    return status.from_category(category, sentence)


def _next_to_pb(message: Next) -> pb.Next:
    request, offer = message.request, message.offer
    if request.question != questions.encode(message.question):
        raise PeerError("the question that is sent must be the one whose digest the sum is bound to")
    return pb.Next(
        offer=None if offer is None else sums.offer_to_pb(offer),
        request=pb.SumRequest(
            session_id=request.session_id,
            number=request.number,
            participants=request.participants,
            question=question_to_pb(message.question),
            length=request.length,
        ),
    )


def _next_from_pb(message: pb.Next) -> Next:
    offer = sums.offer_from_pb(message.offer) if message.HasField("offer") else None
    sent = message.request
    question = question_from_pb(sent.question)  # (rule 16)
    canonical = questions.encode(question)
    request = SumRequest(sent.session_id, sent.number, tuple(sent.participants), canonical, sent.length)
    return Next(offer, request, question)
