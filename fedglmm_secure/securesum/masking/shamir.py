"""Shamir's secret sharing modulo p = 2^256 + 297, the smallest prime above every 256-bit secret (Shamir 1979).

A secret is the constant term of a random polynomial of degree t - 1; site i's share is its value at i, the site's
place in the roster. Any t shares give the secret by Lagrange interpolation at 0; t - 1 say nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum.messages import SHARE_BYTES

PRIME = 2**256 + 297
SECRET_BYTES = 32
COEFFICIENT_BYTES = 48
"""Random bytes a coefficient: reduced modulo p they are within 2^-127 of uniform."""


def split(secret: bytes, threshold: int, indices: Iterable[int], randomness: bytes) -> dict[int, bytes]:
    """The share (33 bytes, big-endian) of each index; ``randomness`` has 48 bytes for each of t - 1 coefficients."""
    coefficients = [
        int.from_bytes(randomness[start : start + COEFFICIENT_BYTES], "big") % PRIME
        for start in range(0, COEFFICIENT_BYTES * (threshold - 1), COEFFICIENT_BYTES)
    ]
    return {index: _value([int.from_bytes(secret, "big"), *coefficients], index) for index in indices}


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret (32 bytes) of the first ``threshold`` shares.

    Raises PeerError for fewer shares, and for shares that belong to no secret.
    """
    if len(shares) < threshold:
        raise PeerError(f"{len(shares)} shares do not open a secret that takes {threshold}; wait for more sites")
    used = sorted(shares)[:threshold]
    secret = sum(int.from_bytes(shares[i], "big") * weight for i, weight in zip(used, weights(used), strict=True))
    value = secret % PRIME
    if value >= 2 ** (8 * SECRET_BYTES):
        raise PeerError("the shares of the sites belong to no secret; start the session again")
    return value.to_bytes(SECRET_BYTES, "big")


def weights(indices: list[int]) -> list[int]:
    """Lagrange's weights at 0 of the values at ``indices``, modulo p."""
    result = []
    for i in indices:
        numerator = denominator = 1
        for j in indices:
            if j != i:
                numerator = numerator * j % PRIME
                denominator = denominator * (j - i) % PRIME
        result.append(numerator * pow(denominator, -1, PRIME) % PRIME)
    return result


def _value(coefficients: list[int], index: int) -> bytes:
    """The polynomial at ``index``, by Horner's rule."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * index + coefficient) % PRIME
    return value.to_bytes(SHARE_BYTES, "big")
