"""What parties keep on disk, a JSON object a line: a site's journal and the coordinator's transcript."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, TypeVar, cast

from google.protobuf.message import DecodeError

from fedglmm_secure.errors import FedglmmError, InputError, PeerError
from fedglmm_secure.securesum.messages import Hello, JournalRecord, Relay, SessionOffer, SumReply, SumRequest
from fedglmm_secure.wire import codec, sums
from fedglmm_secure.wire.messages import Ready, Refusal
from fedglmm_secure.wire.v1 import exchange_pb2 as pb

T = TypeVar("T")

_DAMAGE = (ValueError, KeyError, TypeError, RecursionError)
"""What reading JSON raises, and looking in it for what is not there."""


def journal_line(record: JournalRecord) -> bytes:
    """What a site took and what it made of it: phase and context, and the messages in base64, as they are sent."""
    fields = {
        "phase": record.made[0].phase.value if record.made else "offer",
        "context": record.context.hex(),
        "received": _received_fields(record.received),
        "made": [_text(codec.encode_site(message)) for message in record.made],
    }
    return json.dumps(fields).encode() + b"\n"


def read_journal(content: bytes, source: str) -> tuple[JournalRecord, ...]:
    """The complete lines: one that was cut off by a crash belongs to an answer that never left.

    Raises InputError for anything that ``journal_line`` does not write.
    """
    *lines, _torn = content.split(b"\n")
    try:
        return tuple(map(_journal_record, lines))
    except (*_DAMAGE, DecodeError, FedglmmError) as error:
        raise InputError(f"{source}: is damaged; keep it, and join with another --out folder") from error


def offer_to_bytes(offer: SessionOffer) -> bytes:
    """A session's offer as it is kept."""
    return sums.offer_to_pb(offer).SerializeToString(deterministic=True)


def offer_from_bytes(content: bytes) -> SessionOffer:
    """A session's offer; PeerError when the bytes are none."""
    try:
        return sums.offer_from_pb(pb.SessionOffer.FromString(content))
    except DecodeError as error:
        raise PeerError("the offer that was kept is no offer; begin another session") from error


def transcript_line(time: float, site: str, message: bytes) -> str:
    """One message that the coordinator received: when (seconds), the site whose certificate it came with, the bytes."""
    return json.dumps({"time": time, "site": site, "message": base64.b64encode(message).decode()}) + "\n"


def read_transcript(text: str) -> Iterator[tuple[str, bytes]]:
    """Site and bytes of each message of a transcript; InputError for a line that ``transcript_line`` does not write."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            fields = json.loads(line)
            site, message = _typed(fields["site"], str), base64.b64decode(fields["message"], validate=True)
        except _DAMAGE as error:
            raise InputError(f"the transcript is damaged in line {number}; use one that is whole") from error
        yield site, message


def _received_fields(received: SessionOffer | SumRequest | Relay) -> dict[str, object]:
    match received:
        case SessionOffer():
            return {"offer": _text(offer_to_bytes(received))}
        case SumRequest():
            return {
                "session": received.session_id.hex(),
                "sum": received.number,
                "participants": list(received.participants),
                "question": _text(received.question),
                "length": received.length,
            }
        case Relay():
            return {"relay": _text(sums.relay_to_pb(received).SerializeToString(deterministic=True))}


def _received(fields: dict[str, Any]) -> SessionOffer | SumRequest | Relay:
    if "offer" in fields:
        return offer_from_bytes(base64.b64decode(fields["offer"]))
    if "relay" in fields:
        return sums.relay_from_pb(pb.Relay.FromString(base64.b64decode(fields["relay"])))
    return SumRequest(
        bytes.fromhex(fields["session"]),
        _typed(fields["sum"], int),
        tuple(_typed(name, str) for name in _typed(fields["participants"], list)),
        base64.b64decode(fields["question"]),
        _typed(fields["length"], int),
    )


def _journal_record(line: bytes) -> JournalRecord:
    fields = json.loads(line)
    made = tuple(codec.decode_site(base64.b64decode(text)) for text in _typed(fields["made"], list))
    if any(isinstance(message, Hello | Ready | Refusal) for message in made):
        raise ValueError("no message of a sum")
    return JournalRecord(
        bytes.fromhex(fields["context"]), _received(fields["received"]), cast("tuple[SumReply, ...]", made)
    )


def _typed(value: object, kind: type[T]) -> T:
    """``value``, if it is of that kind and, if text, can be written; ValueError for any other."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"no {kind.__name__}")
    if isinstance(value, str):
        value.encode()
    return value


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
