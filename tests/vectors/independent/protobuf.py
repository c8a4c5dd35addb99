"""Protocol buffers, read from the .proto file itself: messages as dictionaries, to bytes and back.

Bytes are made in the one form that every party's are: fields ascending, defaults left out, repeated numbers packed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vectors.independent.refusal import Refused, require

PROTO = Path(__file__).parents[3] / "proto" / "fedglmm_secure" / "wire" / "v1" / "exchange.proto"
DEFAULTS: Mapping[str, Any] = {"string": "", "bytes": b"", "double": 0.0, "uint32": 0, "uint64": 0}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    """A line of a message in the .proto."""

    name: str
    type: str
    number: int
    repeated: bool
    choice: bool


def read_proto(text: str) -> tuple[dict[str, dict[int, Field]], dict[str, dict[str, int]]]:
    """Messages with their fields by number, and enums with their values."""
    text = re.sub(r"//[^\n]*", "", text)
    messages: dict[str, dict[int, Field]] = {}
    for name, body in re.findall(r"message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}", text):
        choices = " ".join(re.findall(r"oneof \w+ \{([^{}]*)\}", body))
        chosen = {field for _, _, field, _ in _lines(choices)}
        fields = [Field(f, kind, int(n), bool(many), f in chosen) for many, kind, f, n in _lines(body)]
        messages[name] = {field.number: field for field in sorted(fields, key=lambda field: field.number)}
    enums = {
        name: {value: int(number) for value, number in re.findall(r"(\w+) = (\d+);", body)}
        for name, body in re.findall(r"enum (\w+) \{([^{}]*)\}", text)
    }
    return messages, enums


def _lines(body: str) -> list[tuple[str, str, str, str]]:
    return re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", body)


MESSAGES, ENUMS = read_proto(PROTO.read_text(encoding="utf-8"))


def encode(kind: str, values: Mapping[str, Any]) -> bytes:
    """The bytes of a message; the value of a field that is a message may be None, for none."""
    made = b""
    for field in MESSAGES[kind].values():
        value = values.get(field.name)
        if field.repeated and field.type not in MESSAGES and field.type not in ("string", "bytes"):
            if value:
                made += _delimited(field, b"".join(_scalar(field.type, each) for each in value))
        elif field.repeated:
            made += b"".join(_delimited(field, _content(field.type, each)) for each in value)
        elif value is not None and (field.type in MESSAGES or field.type in ("string", "bytes")):
            content = _content(field.type, value)
            made += _delimited(field, content) if content or field.type in MESSAGES else b""
        elif value:
            made += _varint(field.number << 3 | _wire_type(field.type)) + _scalar(field.type, value)
    return made


def _content(kind: str, value: Any) -> bytes:
    if kind in MESSAGES:
        return encode(kind, value)
    return value.encode("utf-8") if kind == "string" else value


def _delimited(field: Field, content: bytes) -> bytes:
    return _varint(field.number << 3 | BYTES) + _varint(len(content)) + content


def _scalar(kind: str, value: Any) -> bytes:
    return struct.pack("<d", value) if kind == "double" else _varint(value)


def _wire_type(kind: str) -> int:
    return {"double": FIXED64, "string": BYTES, "bytes": BYTES}.get(kind, BYTES if kind in MESSAGES else VARINT)


def _varint(value: int) -> bytes:
    made = b""
    while value > 127:
        made, value = made + bytes([value & 127 | 128]), value >> 7
    return made + bytes([value])


def decode(kind: str, data: bytes) -> dict[str, Any]:
    """Every field of a message by name: those left out have their default, None where that is a message."""
    fields = MESSAGES[kind]
    values: dict[str, Any] = {
        field.name: [] if field.repeated else DEFAULTS.get(field.type, 0 if field.type in ENUMS else None)
        for field in fields.values()
    }
    for number, wire_type, content in _records(data):
        field = fields.get(number)
        if field is None:
            continue
        if wire_type == BYTES and field.repeated and _wire_type(field.type) != BYTES:  # packed
            values[field.name] += list(_packed(field.type, content))
            continue
        require(wire_type == _wire_type(field.type), "PeerError", "another type on the wire")
        value = _value(field.type, content)
        if field.choice:
            values |= {other.name: None for other in fields.values() if other.choice}
        if field.repeated:
            values[field.name].append(value)
        else:
            values[field.name] = value
    return values


def _value(kind: str, content: Any) -> Any:
    if kind in MESSAGES:
        return decode(kind, content)
    if kind == "string":
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("PeerError", "no UTF-8") from None
    return struct.unpack("<d", content)[0] if kind == "double" else content


def _packed(kind: str, content: bytes) -> Iterator[Any]:
    at = 0
    while at < len(content):
        if kind == "double":
            require(at + 8 <= len(content), "PeerError", "cut off")
            yield struct.unpack("<d", content[at : at + 8])[0]
            at += 8
        else:
            value, at = _read_varint(content, at)
            yield value


def _records(data: bytes) -> Iterator[tuple[int, int, Any]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        require(number > 0 and wire_type in (VARINT, FIXED64, BYTES, FIXED32), "PeerError", "no protobuf")
        if wire_type == VARINT:
            value, at = _read_varint(data, at)
            yield number, wire_type, value
            continue
        size, at = _read_varint(data, at) if wire_type == BYTES else ({FIXED64: 8, FIXED32: 4}[wire_type], at)
        require(at + size <= len(data), "PeerError", "cut off")
        yield number, wire_type, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        require(at < len(data) and shift < 70, "PeerError", "cut off")
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value % 2**64, at


def from_json(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A message as the vectors have it: bytes and numbers in hexadecimal, phases and the like by name."""
    types = {field.name: field for field in MESSAGES[kind].values()}
    return {
        name: [_from_json(types[name].type, each) for each in value]
        if types[name].repeated
        else _from_json(types[name].type, value)
        for name, value in fields.items()
    }


def _from_json(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in MESSAGES:
        return from_json(kind, value)
    if kind == "bytes":
        return bytes.fromhex(value)
    if kind == "double":
        return struct.unpack(">d", bytes.fromhex(value))[0]
    return ENUMS[kind][value] if kind in ENUMS else value


def to_json(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round; of a choice only what was chosen."""
    types = {field.name: field for field in MESSAGES[kind].values()}
    return {
        name: [_to_json(types[name].type, each) for each in value]
        if types[name].repeated
        else _to_json(types[name].type, value)
        for name, value in values.items()
        if not (types[name].choice and value is None)
    }


def _to_json(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in MESSAGES:
        return to_json(kind, value)
    if kind == "bytes":
        return value.hex()
    if kind == "double":
        return struct.pack(">d", value).hex()
    return next(name for name, number in ENUMS[kind].items() if number == value) if kind in ENUMS else value
