"""Fixed-point vectors modulo 2^128: how real numbers become ring elements that can be masked and summed exactly.

A real number x is stored as round(x * 2^44), a two's-complement integer of |x| < 2^43 (88 bits), held as two
unsigned 64-bit limbs. The sum of up to 255 such numbers needs 96 bits: it cannot wrap around in 128. What does not
fit is refused by name; nothing is ever clipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedglmm_secure.errors import PeerError, QuantityError

Vector = npt.NDArray[np.float64]
Ring = npt.NDArray[np.uint64]
"""Shape (d, 2): the low and the high 64 bits of each element."""

FRACTION_BITS = 44
INTEGER_BITS = 43
BOUND = float(2**INTEGER_BITS)
MAX_SITES = 255
ELEMENT_BYTES = 16

_LIMB = float(2**64)


def encode(values: Vector, names: Sequence[str]) -> Ring:
    """Fixed-point ring elements, shape (d, 2), of ``values``, shape (d,).

    Raises QuantityError with the name of the first value that is NaN, infinite or not below 2^43 in magnitude.
    """
    fits = np.abs(values) < BOUND  # False for NaN too
    if not fits.all():  # (rule 33)
        index = int(np.argmin(fits))
        raise QuantityError(
            f"{names[index]} is {values[index]:g}, which does not fit the fixed-point range (|x| < 2^{INTEGER_BITS}); "
            "check the declared ranges and the scale of the variables"
        )
    scaled = np.rint(np.ldexp(values, FRACTION_BITS))
    magnitude = np.abs(scaled)
    high = np.floor(magnitude / _LIMB)
    low = magnitude - high * _LIMB
    limbs = np.stack([low.astype(np.uint64), high.astype(np.uint64)], axis=1)
    return np.where((scaled < 0)[:, None], negate(limbs), limbs)


def decode_sum(total: Ring, contributors: int) -> Vector:
    """The real numbers of a sum over ``contributors`` encoded vectors.

    Raises PeerError when an element is outside what that many contributions can add up to: the masks did not cancel.
    """
    negative = (total[:, 1] >> np.uint64(63)).astype(bool)
    limbs = np.where(negative[:, None], negate(total), total)
    magnitude = limbs[:, 1].astype(np.float64) * _LIMB + limbs[:, 0].astype(np.float64)
    values = np.ldexp(np.where(negative, -magnitude, magnitude), -FRACTION_BITS)
    if not (np.abs(values) <= contributors * BOUND).all():
        raise PeerError(
            "the sum is outside the range of its contributions: the masks did not cancel, so the sites did not all "
            "answer the same question in the same session"
        )
    return values


def zeros(length: int) -> Ring:
    """``length`` elements of zero."""
    return np.zeros((length, 2), dtype=np.uint64)


def add(a: Ring, b: Ring) -> Ring:
    """a + b modulo 2^128, element by element."""
    result = a + b
    result[:, 1] += result[:, 0] < a[:, 0]  # the carry
    return result


def subtract(a: Ring, b: Ring) -> Ring:
    """a - b modulo 2^128, element by element."""
    result = a - b
    result[:, 1] -= a[:, 0] < b[:, 0]  # the borrow
    return result


def negate(a: Ring) -> Ring:
    """-a modulo 2^128, element by element."""
    return subtract(np.zeros_like(a), a)


def to_bytes(a: Ring) -> bytes:
    """16 bytes an element, little-endian."""
    return a.astype("<u8").tobytes()


def from_bytes(data: bytes, length: int) -> Ring:
    """The ``length`` ring elements in ``data``; PeerError when the byte count is another."""
    if len(data) != length * ELEMENT_BYTES:
        raise PeerError(f"a vector of {length} numbers takes {length * ELEMENT_BYTES} bytes, not {len(data)}")
    return np.frombuffer(data, dtype="<u8").astype(np.uint64).reshape(length, 2)
