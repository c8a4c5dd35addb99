"""Canonical bytes, digests and HKDF: ``docs/protocol.md``, "Canonical bytes", "Session and context", "Masks"."""

from __future__ import annotations

import hashlib
import hmac
import struct


def canonical(value: object) -> bytes:
    """One field: a letter, the length of its content as 8 bytes, its content."""
    if value is None:
        letter, content = "n", b""
    elif isinstance(value, bool):
        letter, content = "t", b"1" if value else b"0"
    elif isinstance(value, bytes):
        letter, content = "b", value
    elif isinstance(value, str):
        letter, content = "s", value.encode("utf-8")
    elif isinstance(value, int):
        letter, content = "i", str(value).encode("ascii")
    elif isinstance(value, float):
        letter, content = "f", struct.pack(">d", value)
    else:
        letter, content = "l", b"".join(canonical(field) for field in value)  # type: ignore[attr-defined]
    return letter.encode("ascii") + struct.pack(">Q", len(content)) + content


def digest(label: str, *fields: object) -> bytes:
    """SHA-256(canonical([label, fields...]))."""
    return hashlib.sha256(canonical([label, *fields])).digest()


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    """RFC 5869 with SHA-256: extract, then expand. An empty salt is 32 zero bytes."""
    return hkdf_expand(hkdf_extract(secret, salt), info, length)


def hkdf_extract(secret: bytes, salt: bytes) -> bytes:
    """Section 2.2."""
    return hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """Section 2.3."""
    made, block = b"", b""
    while len(made) < length:
        block = hmac.new(key, block + info + bytes([len(made) // 32 + 1]), hashlib.sha256).digest()
        made += block
    return made[:length]


def from_seed(seed: bytes, label: str, *fields: object) -> bytes:
    """What a site keeps of its session, from its seed: "The journal and the seed"."""
    return hkdf(seed, b"", canonical([label, *fields]))
