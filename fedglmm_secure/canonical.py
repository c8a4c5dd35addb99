"""One unambiguous byte string for a list of fields: what digests are taken of and what signatures sign.

Protobuf bytes are not canonical (two encoders may differ), so nothing is ever signed or hashed in that form. Here
every field is a type letter, its length as 8 bytes big-endian, and its bytes; a list is its fields' encodings in
turn. Two different lists of fields never give the same bytes.
"""

from __future__ import annotations

import hashlib
import struct


def encode(value: object) -> bytes:  # noqa: PLR0911  one line a type
    """Encode one field, or a list or tuple of fields, as canonical bytes.

    ``str`` is UTF-8, ``int`` is decimal text (of any size), ``float`` is IEEE 754 binary64 big-endian.
    """
    match value:
        case None:
            return _field(b"n", b"")
        case bool():
            return _field(b"t", b"1" if value else b"0")
        case bytes():
            return _field(b"b", value)
        case str():
            return _field(b"s", value.encode())
        case int():
            return _field(b"i", str(value).encode())
        case float():
            return _field(b"f", struct.pack(">d", value))
        case list() | tuple():
            return _field(b"l", b"".join(map(encode, value)))
        case _:
            raise TypeError(f"no canonical form for {type(value).__name__}")


def decode(data: bytes) -> object:
    """The field that ``encode`` gave, lists as tuples; ValueError for bytes that it never gives."""
    (value,) = _fields(data, 0, len(data))
    if encode(value) != data:
        raise ValueError("these are no canonical bytes")
    return value


def digest(label: str, *fields: object) -> bytes:
    """SHA-256 (32 bytes) of the canonical form of ``fields``, separated from other uses by ``label``."""
    return hashlib.sha256(encode([label, *fields])).digest()


def _field(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(8, "big") + content


def _fields(data: bytes, at: int, end: int) -> tuple[object, ...]:
    """The fields in ``data[at:end]``."""
    fields: list[object] = []
    while at < end:
        kind, start = data[at : at + 1], at + 9
        at = start + int.from_bytes(data[at + 1 : start], "big")
        fields.append(_fields(data, start, min(at, end)) if kind == b"l" else _value(kind, data[start:at]))
    return tuple(fields)


def _value(kind: bytes, content: bytes) -> object:
    match kind:
        case b"n":
            return None
        case b"t":
            return content == b"1"
        case b"b":
            return content
        case b"s":
            return content.decode()
        case b"i":
            return int(content)
        case b"f" if len(content) == struct.calcsize(">d"):
            (number,) = struct.unpack(">d", content)
            return number
        case _:
            raise ValueError("these are no canonical bytes")
