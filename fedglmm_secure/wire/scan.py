"""How many fields a message has, counted before protobuf builds it: an empty one of 2 bytes would take up 100."""

from __future__ import annotations

from google.protobuf.message import Message

from fedglmm_secure.errors import PeerError
from fedglmm_secure.wire.limits import MAX_FIELDS

_MAX_VARINT_BYTES = 10


def check_fields(data: bytes, message: Message) -> None:
    """Raise PeerError where ``data``, to be read into ``message``, has more fields than any, or is no protobuf.

    Every record of the wire format counts, those of messages within messages too, packed numbers as one. It stops at
    the limit, however long the message is.
    """
    counted, waiting = 0, [(message.DESCRIPTOR, 0, len(data))]
    while waiting:
        kind, at, end = waiting.pop()
        while at < end:
            counted += 1
            if counted > MAX_FIELDS:
                raise PeerError(f"a message of more than {MAX_FIELDS} fields; use the same version everywhere")
            key, at = _varint(data, at, end)
            match key & 7:  # the wire type; groups, which no message has, are gone through like the rest
                case 0:
                    _, at = _varint(data, at, end)
                case 1:
                    at += 8
                case 2:
                    size, at = _varint(data, at, end)
                    field = kind.fields_by_number.get(key >> 3)
                    if field is not None and field.message_type is not None:
                        waiting.append((field.message_type, at, at + size))
                    at += size
                case 5:
                    at += 4
        if at != end:
            raise _invalid()


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for place in range(_MAX_VARINT_BYTES):
        if at + place >= end:
            break
        byte = data[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise _invalid()


def _invalid() -> PeerError:
    return PeerError("a message is not valid protobuf; use the same version everywhere")
