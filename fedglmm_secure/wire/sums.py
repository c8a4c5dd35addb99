"""The messages within a sum to protobuf and back: both have the same fields under the same names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from google.protobuf.message import Message

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum.messages import (
    Advertisement,
    Agreement,
    Commitment,
    Contribution,
    Decryption,
    Hello,
    KeyShares,
    Opening,
    Parcel,
    Part,
    Phase,
    Relay,
    SessionOffer,
    SumReply,
    Unmasking,
)
from fedglmm_secure.wire.v1 import exchange_pb2 as pb

REPLIES: Mapping[str, type[SumReply]] = {
    "contribution": Contribution,
    "advertisement": Advertisement,
    "key_shares": KeyShares,
    "agreement": Agreement,
    "unmasking": Unmasking,
    "commitment": Commitment,
    "opening": Opening,
    "decryption": Decryption,
}
"""Each message of a site by its name in the oneof of SiteMessage."""

_PARTS: Mapping[str, type[Part]] = {
    "advertisement": Advertisement,
    "parcel": Parcel,
    "agreement": Agreement,
    "commitment": Commitment,
    "opening": Opening,
}


def reply_to_pb(message: SumReply) -> dict[str, Message]:
    """A site's message as the one field of SiteMessage that holds it."""
    return {_name_in(REPLIES, message): _to_pb(message)}


def reply_from_pb(name: str, sent: Message) -> SumReply:
    """What a site sent; PeerError when no site of this version sends it."""
    return REPLIES[name](**_values(REPLIES[name], sent))


def hello_to_pb(hello: Hello) -> pb.Hello:
    """A site's introduction."""
    return pb.Hello(**_fields(hello))


def hello_from_pb(hello: pb.Hello) -> Hello:
    """A site's introduction; PeerError when it cannot be one."""
    return Hello(**_values(Hello, hello))


def offer_to_pb(offer: SessionOffer) -> pb.SessionOffer:
    """All introductions."""
    return pb.SessionOffer(
        coordinator_nonce=offer.coordinator_nonce, hellos=[hello_to_pb(hello) for hello in offer.hellos]
    )


def offer_from_pb(offer: pb.SessionOffer) -> SessionOffer:
    """All introductions; PeerError when they cannot be an offer."""
    return SessionOffer(offer.coordinator_nonce, tuple(hello_from_pb(hello) for hello in offer.hellos))


def relay_to_pb(relay: Relay) -> pb.Relay:
    """What the sites sent in a phase."""
    parts = [pb.RelayPart(**{_name_in(_PARTS, part): _to_pb(part)}) for part in relay.parts]  # type: ignore[arg-type]
    return pb.Relay(session_id=relay.session_id, number=relay.number, phase=phase_to_pb(relay.phase), parts=parts)


def relay_from_pb(relay: pb.Relay) -> Relay:
    """What the sites sent in a phase; PeerError when no coordinator of this version relays it."""
    phase = phase_from_pb(relay.phase)
    if phase is None:
        raise PeerError("the coordinator relays a phase that does not exist; use the same version everywhere")
    return Relay(relay.session_id, relay.number, phase, tuple(map(_part_from_pb, relay.parts)))


def phase_to_pb(phase: Phase | None) -> pb.Phase:
    """A phase, unspecified for none."""
    number: pb.Phase = pb.PHASE_UNSPECIFIED if phase is None else pb.Phase.Value(f"PHASE_{phase.name}")  # type: ignore[assignment]
    return number


def phase_from_pb(phase: int) -> Phase | None:
    """A phase, None when unspecified; PeerError for one that does not exist."""
    if phase not in pb.Phase.values():
        raise PeerError("a message names a phase that does not exist; use the same version everywhere")
    name = pb.Phase.Name(phase).removeprefix("PHASE_")
    return None if name == "UNSPECIFIED" else Phase[name]


def _part_from_pb(part: pb.RelayPart) -> Part:
    name = part.WhichOneof("content")
    if name is None:
        raise PeerError("the coordinator relays a part of an unknown kind; use the same version everywhere")
    return _PARTS[name](**_values(_PARTS[name], getattr(part, name)))


def _name_in(kinds: Mapping[str, type[Any]], message: object) -> str:
    return next(name for name, kind in kinds.items() if isinstance(message, kind))


def _to_pb(message: SumReply | Part) -> Message:
    made: Message = getattr(pb, type(message).__name__)(**_fields(message))
    return made


def _fields(message: Any) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in fields(message)}


def _values(kind: type[Any], sent: Message) -> dict[str, Any]:
    """The fields of ``sent``, repeated ones as tuples."""
    values = {field.name: getattr(sent, field.name) for field in fields(kind)}
    return {name: value if isinstance(value, bytes | str | int) else tuple(value) for name, value in values.items()}
