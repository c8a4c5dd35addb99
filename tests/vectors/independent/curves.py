"""X25519 (RFC 7748) and Ed25519 (RFC 8032) in plain integers. Slow, and not for secrets."""

from __future__ import annotations

import hashlib

from tests.vectors.independent.refusal import Refused, require

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
"""A square root of -1."""

Point = tuple[int, int, int, int]
"""(X, Y, Z, T): x = X / Z, y = Y / Z, x y = T / Z."""


def x25519(private: bytes, public: bytes) -> bytes:
    """The scalar multiplication of section 5: a ladder over the bits of the clamped scalar."""
    scalar = int.from_bytes(private, "little") & (2**254 - 8) | 2**254
    u = int.from_bytes(public, "little") % 2**255 % P
    x2, z2, x3, z3 = 1, 0, u, 1
    for place in range(254, -1, -1):
        bit = scalar >> place & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def x25519_public(private: bytes) -> bytes:
    """The public key of a private one."""
    return x25519(private, (9).to_bytes(32, "little"))


def shared_secret(private: bytes, public: bytes) -> bytes:
    """X25519 of two parties; an all-zero secret is refused (section 6.1)."""
    require(len(public) == 32, "PeerError", "a key has 32 bytes")
    secret = x25519(private, public)
    require(secret != bytes(32), "PeerError", "the key is of low order")
    return secret


def _add(p: Point, q: Point) -> Point:
    """RFC 8032, section 5.1.4."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar: int, p: Point) -> Point:
    q: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            q = _add(q, p)
        p, scalar = _add(p, p), scalar >> 1
    return q


def _compress(p: Point) -> bytes:
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decompress(data: bytes) -> Point | None:
    """Section 5.1.3; None when there is no such point."""
    y, sign = int.from_bytes(data, "little") % 2**255, data[31] >> 7
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * ROOT % P
    if v * x * x % P != u or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _base() -> Point:
    base = _decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    assert base is not None
    return base


BASE = _base()


def _scalar_and_prefix(seed: bytes) -> tuple[int, bytes]:
    hashed = hashlib.sha512(seed).digest()
    return int.from_bytes(hashed[:32], "little") & (2**254 - 8) | 2**254, hashed[32:]


def _hash_number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def ed25519_public(seed: bytes) -> bytes:
    """The public key of a 32-byte private one."""
    return _compress(_times(_scalar_and_prefix(seed)[0], BASE))


def sign(seed: bytes, message: bytes) -> bytes:
    """64 bytes (section 5.1.6)."""
    scalar, prefix = _scalar_and_prefix(seed)
    public = _compress(_times(scalar, BASE))
    r = _hash_number(prefix, message)
    point = _compress(_times(r, BASE))
    s = (r + _hash_number(point, public, message) * scalar) % ORDER
    return point + s.to_bytes(32, "little")


def verify(public: bytes, signature: bytes, message: bytes) -> None:
    """Refused unless the signature is right (section 5.1.7, without the cofactor; s below the order)."""
    require(len(public) == 32 and len(signature) == 64, "PeerError", "a size is wrong")
    key, s = _decompress(public), int.from_bytes(signature[32:], "little")
    if key is None or s >= ORDER:
        raise Refused("PeerError", "no signature")
    negative = (P - key[0], key[1], 1, P - key[3])
    expected = _add(_times(s, BASE), _times(_hash_number(signature[:32], public, message), negative))
    require(_compress(expected) == signature[:32], "PeerError", "the signature is wrong")
