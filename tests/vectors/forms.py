"""How values stand in the JSON files: no party's code, only text and back.

Bytes are hexadecimal; integers that JSON may not hold exactly are hexadecimal after ``0x``; a real number is the
hexadecimal of its IEEE 754 binary64, big-endian; a field of canonical bytes is its letter with its content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any


def real(text: str) -> float:
    """The number of 16 hexadecimal digits."""
    value: float = struct.unpack(">d", bytes.fromhex(text))[0]
    return value


def real_text(value: float) -> str:
    """16 hexadecimal digits."""
    return struct.pack(">d", value).hex()


def wholes(texts: Iterable[str]) -> list[int]:
    """The integers of texts such as ``0x1f``."""
    return [int(text, 16) for text in texts]


def whole_texts(values: Iterable[int]) -> list[str]:
    """Texts such as ``0x1f``."""
    return [hex(value) for value in values]


def elements(text: str) -> list[int]:
    """Numbers of 16 bytes each, little-endian."""
    data = bytes.fromhex(text)
    return [int.from_bytes(data[i : i + 16], "little") for i in range(0, len(data), 16)]


def element_text(values: Iterable[int]) -> str:
    """16 bytes each, little-endian."""
    return b"".join((value % 2**128).to_bytes(16, "little") for value in values).hex()


def field(tagged: list[Any]) -> object:
    """A field of canonical bytes, such as ``["s", "alpha"]``, ``["i", "-7"]`` or ``["l", [...]]``."""
    match tagged:
        case ["b", text]:
            return bytes.fromhex(text)
        case ["i", text]:
            return int(text)
        case ["f", text]:
            return real(text)
        case ["l", inner]:
            return [field(each) for each in inner]
        case [_, value]:  # "s", "t" and "n" are JSON's own
            return value
    raise ValueError(f"no field: {tagged}")


def tagged(value: object) -> list[Any]:  # noqa: PLR0911  one line a type
    """The other way round."""
    match value:
        case None:
            return ["n", None]
        case bool():
            return ["t", value]
        case bytes():
            return ["b", value.hex()]
        case str():
            return ["s", value]
        case int():
            return ["i", str(value)]
        case float():
            return ["f", real_text(value)]
        case list() | tuple():
            return ["l", [tagged(each) for each in value]]
    raise ValueError(f"no field: {value!r}")
