"""Fixed point, masks and sealed shares: ``docs/protocol.md``, "Vectors", "Masks", "Masking with dropouts"."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tests.vectors.independent.aes import gcm_open, gcm_seal, keystream
from tests.vectors.independent.hashing import canonical, hkdf
from tests.vectors.independent.refusal import Refused, require

RING = 2**128
SCALE = 2**44
BOUND = 2**43
PRIME = 2**256 + 297


def fixed_point(value: float) -> int:
    """element(x): scaling by a power of two is exact, and Python rounds half to even."""
    if not math.isfinite(value) or abs(value) >= BOUND:
        raise Refused("QuantityError", "does not fit")
    return round(value * SCALE) % RING


def signed(element: int) -> int:
    """An element as the integer between -2^127 and 2^127 - 1 that it stands for."""
    return element - RING if element >= RING // 2 else element


def real_sum(elements: Sequence[int], contributors: int) -> list[int]:
    """The exact sums times 2^44; each within what so many contributions give."""
    sums = [signed(element) for element in elements]
    require(all(abs(value) <= contributors * BOUND * SCALE for value in sums), "PeerError", "out of range")
    return sums


def counted_sum(elements: Sequence[int], contributors: int) -> list[int]:
    """The exact sums without the first, which must count the contributors."""
    count, *sums = real_sum(elements, contributors)
    require(count == contributors * SCALE, "PeerError", "does not count each site once")
    return sums


def to_bytes(elements: Sequence[int]) -> bytes:
    """16 bytes each, little-endian."""
    return b"".join(element.to_bytes(16, "little") for element in elements)


def from_bytes(data: bytes, length: int) -> list[int]:
    """``length`` elements."""
    require(len(data) == 16 * length, "PeerError", "another length")
    return [int.from_bytes(data[i : i + 16], "little") for i in range(0, len(data), 16)]


def pair_key(secret: bytes, session_id: bytes, context: bytes, pair: Sequence[str], length: int) -> bytes:
    """The key of the mask of two sites."""
    a, b = sorted(pair)
    return hkdf(secret, session_id, canonical(["fedglmm/masking/v1/pair", context, a, b, length]))


def self_key(seed: bytes, session_id: bytes, context: bytes, site: str, length: int) -> bytes:
    """The key of a site's own mask."""
    return hkdf(seed, session_id, canonical(["fedglmm/masking/v1/self", context, site, length]))


def expand(key: bytes, length: int) -> list[int]:
    """The mask of a key."""
    return from_bytes(keystream(key, 16 * length), length)


def pair_masked(
    elements: Sequence[int], own: str, secrets: Mapping[str, bytes], session_id: bytes, context: bytes
) -> list[int]:
    """Masks of peers after ``own`` added, of those before it subtracted."""
    total, length = list(elements), len(elements)
    for peer, secret in secrets.items():
        mask, sign = expand(pair_key(secret, session_id, context, (own, peer), length), length), 1 if own < peer else -1
        total = [(x + sign * m) % RING for x, m in zip(total, mask, strict=True)]
    return total


def add(a: Sequence[int], b: Sequence[int], sign: int = 1) -> list[int]:
    """a + b or, with -1, a - b."""
    return [(x + sign * y) % RING for x, y in zip(a, b, strict=True)]


def split(secret: bytes, coefficients: Sequence[int], indices: Sequence[int]) -> dict[int, bytes]:
    """Shamir's shares: the polynomial of secret and ``coefficients`` (of x, x^2, ...) at each index."""
    polynomial = [int.from_bytes(secret, "big"), *coefficients]
    values = {x: sum(c * x**power for power, c in enumerate(polynomial)) % PRIME for x in indices}
    return {x: value.to_bytes(33, "big") for x, value in values.items()}


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret, by Lagrange's interpolation at 0 of the first ``threshold`` shares."""
    require(len(shares) >= threshold, "PeerError", "too few shares")
    used = sorted(shares)[:threshold]
    value = 0
    for x in used:
        others = [y for y in used if y != x]
        above, below = math.prod(others), math.prod(y - x for y in others)
        value += int.from_bytes(shares[x], "big") * above * pow(below, -1, PRIME)
    value %= PRIME
    require(value < 2**256, "PeerError", "no secret")
    return value.to_bytes(32, "big")


def _wrapping(secret: bytes, session_id: bytes, label: str, fields: Sequence[object]) -> tuple[bytes, bytes]:
    info = canonical([label, *fields])
    return hkdf(secret, session_id, info), info


def seal(share: bytes, secret: bytes, session_id: bytes, label: str, fields: Sequence[object]) -> bytes:
    """A share under the secret of two wrap keys; ``fields`` are number, sender, recipient (and context)."""
    key, info = _wrapping(secret, session_id, label, fields)
    return gcm_seal(key, bytes(12), share, info)


def unseal(sealed: bytes, secret: bytes, session_id: bytes, label: str, fields: Sequence[object]) -> bytes:
    """The share."""
    key, info = _wrapping(secret, session_id, label, fields)
    return gcm_open(key, bytes(12), sealed, info)


def coefficients_from_seed(key: bytes, count: int) -> list[int]:
    """48 bytes of keystream each, modulo p."""
    stream = keystream(key, 48 * count)
    return [int.from_bytes(stream[i : i + 48], "big") % PRIME for i in range(0, 48 * count, 48)]
