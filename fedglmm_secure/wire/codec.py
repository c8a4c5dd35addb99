"""Messages to protobuf and back. Decoding is strict: what is missing, unknown or too large is refused."""

from __future__ import annotations

from google.protobuf.message import DecodeError, Message

from fedglmm_secure.errors import FedglmmError, PeerError
from fedglmm_secure.model import questions
from fedglmm_secure.securesum.messages import Contribution, Hello, SessionOffer, SumRequest
from fedglmm_secure.wire import status
from fedglmm_secure.wire.limits import MAX_MESSAGE_BYTES, MAX_RESULT_BYTES, MAX_SENTENCE_BYTES
from fedglmm_secure.wire.messages import (
    CoordinatorMessage,
    Finished,
    Next,
    Ready,
    Refusal,
    SiteMessage,
    Stopped,
    Wait,
)
from fedglmm_secure.wire.question import question_from_pb, question_to_pb
from fedglmm_secure.wire.v1 import exchange_pb2 as pb

METHOD = f"/{pb.DESCRIPTOR.services_by_name['Coordinator'].full_name}/Exchange"
"""The one gRPC method. It is called with bytes, so that this module alone decides what is a valid message."""


def encode_site(message: SiteMessage) -> bytes:
    """The protobuf bytes of what a site sends."""
    match message:
        case Hello():
            content = pb.SiteMessage(hello=_hello_to_pb(message))
        case Contribution():
            content = pb.SiteMessage(contribution=_contribution_to_pb(message))
        case Ready():
            ready = pb.Ready(site=message.site, session_id=message.session_id, last_sum=message.last_sum)
            content = pb.SiteMessage(ready=ready)
        case Refusal():
            category, sentence = _words(message.error)
            refusal = pb.Refusal(site=message.site, category=category, sentence=sentence)
            content = pb.SiteMessage(refusal=refusal)
    return content.SerializeToString(deterministic=True)


def decode_site(data: bytes) -> SiteMessage:
    """What a site sent; PeerError for anything that no site of this version sends."""
    message = pb.SiteMessage()
    _parse(message, data)
    match message.WhichOneof("content"):
        case "hello":
            return _hello_from_pb(message.hello)
        case "contribution":
            sent = message.contribution
            return Contribution(sent.session_id, sent.number, sent.attempt, sent.site, sent.vector)
        case "ready":
            return Ready(message.ready.site, message.ready.session_id, message.ready.last_sum)
        case "refusal":
            return Refusal(message.refusal.site, _error(message.refusal.category, message.refusal.sentence))
        case _:
            raise PeerError("a site sent a message of an unknown kind; use the same version everywhere")


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
        case Wait():
            content = pb.CoordinatorMessage(wait=pb.Wait())
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
        case "wait":
            return Wait()
        case _:
            raise PeerError("the coordinator sent a message of an unknown kind; use the same version everywhere")


def _parse(message: Message, data: bytes) -> None:
    if len(data) > MAX_MESSAGE_BYTES:
        raise PeerError(f"a message of {len(data)} bytes is larger than {MAX_MESSAGE_BYTES} bytes")
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


def _hello_to_pb(hello: Hello) -> pb.Hello:
    return pb.Hello(
        site=hello.site,
        study_digest=hello.study_digest,
        nonce=hello.nonce,
        mask_public_key=hello.mask_public_key,
        signature=hello.signature,
    )


def _hello_from_pb(hello: pb.Hello) -> Hello:
    return Hello(hello.site, hello.study_digest, hello.nonce, hello.mask_public_key, hello.signature)


def _contribution_to_pb(contribution: Contribution) -> pb.Contribution:
    return pb.Contribution(
        session_id=contribution.session_id,
        number=contribution.number,
        attempt=contribution.attempt,
        site=contribution.site,
        vector=contribution.vector,
    )


def _next_to_pb(message: Next) -> pb.Next:
    request, offer = message.request, message.offer
    if request.question != questions.encode(message.question):
        raise PeerError("the question that is sent must be the one whose digest the sum is bound to")
    return pb.Next(
        offer=None
        if offer is None
        else pb.SessionOffer(
            coordinator_nonce=offer.coordinator_nonce, hellos=[_hello_to_pb(hello) for hello in offer.hellos]
        ),
        request=pb.SumRequest(
            session_id=request.session_id,
            number=request.number,
            attempt=request.attempt,
            participants=request.participants,
            question=question_to_pb(message.question),
            length=request.length,
        ),
    )


def _next_from_pb(message: pb.Next) -> Next:
    offer = None
    if message.HasField("offer"):
        hellos = tuple(_hello_from_pb(hello) for hello in message.offer.hellos)
        offer = SessionOffer(message.offer.coordinator_nonce, hellos)
    sent = message.request
    question = question_from_pb(sent.question)
    canonical = questions.encode(question)
    request = SumRequest(sent.session_id, sent.number, sent.attempt, tuple(sent.participants), canonical, sent.length)
    return Next(offer, request, question)
