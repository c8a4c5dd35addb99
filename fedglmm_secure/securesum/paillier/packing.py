"""Many fixed-point numbers in one Paillier plaintext: 96-bit slots, each a number of 88 bits moved above zero.

A slot holds x + 2^87 for the encoded number x, |x| < 2^87, so that it is never negative. Adding plaintexts adds the
slots side by side: 255 contributions of 88 bits stay below 2^96, the 8 guard bits take the carries, and no slot
reaches its neighbour. Slot j of a plaintext is its bits 96 j to 96 j + 95. Slots after the last number hold 0, that is
2^87. What the sum of n contributions must look like is therefore known in part, and ``unpack`` checks all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError, QuantityError
from fedglmm_secure.ring import Ring

VALUE_BITS = ring.FRACTION_BITS + ring.INTEGER_BITS + 1
"""88: an encoded number with its sign."""

GUARD_BITS = 8
"""For the carries of up to 255 contributions."""

SLOT_BYTES = (VALUE_BITS + GUARD_BITS) // 8

_HIGH_OFFSET = 1 << (VALUE_BITS - 1 - 64)
"""The upper limb of the offset 2^87; the lower one is 0."""


def slots_per_plaintext(modulus_bits: int) -> int:
    """How many slots lie wholly below a modulus of that many bits: 31 at 3072."""
    return (modulus_bits - 1) // (8 * SLOT_BYTES)


def plaintexts_for(length: int, modulus_bits: int) -> int:
    """How many plaintexts hold ``length`` numbers."""
    return -(-length // slots_per_plaintext(modulus_bits))


def pack(encoded: Ring, modulus_bits: int) -> list[int]:
    """The plaintexts of one contribution; ``encoded`` (d, 2) is as ``ring.encode`` gives it.

    Raises QuantityError for a number outside (-2^87, 2^87), which ``ring.encode`` never gives.
    """
    slots = slots_per_plaintext(modulus_bits)
    padded = _offsets(plaintexts_for(len(encoded), modulus_bits) * slots, 1)
    padded[: len(encoded)] = ring.add(encoded, padded[: len(encoded)])
    fits = _in_bounds(padded, 1)
    if not fits.all():
        raise QuantityError(f"number {np.argmin(fits) + 1} of the answer does not fit a slot of {VALUE_BITS} bits")
    data = padded.astype("<u8").view(np.uint8).reshape(-1, ring.ELEMENT_BYTES)[:, :SLOT_BYTES].tobytes()
    size = slots * SLOT_BYTES
    return [int.from_bytes(data[start : start + size], "little") for start in range(0, len(data), size)]


def unpack(plaintexts: Sequence[int], length: int, contributors: int, modulus_bits: int) -> Ring:
    """The sums (length, 2) in the decrypted product of ``contributors`` (1 to 255) packed contributions.

    Checks (1) the number of plaintexts, (2) zeros above the slots, (3) the padding, (4) that every slot is
    within what that many contributions add up to, (5) that the first number, 1.0 from every site, counts exactly
    ``contributors``. Raises PeerError when one does not hold: the product was not of that many contributions of
    ``length`` numbers, or not opened rightly.
    """
    size = slots_per_plaintext(modulus_bits) * SLOT_BYTES
    if len(plaintexts) != plaintexts_for(length, modulus_bits):  # (1)
        raise PeerError(f"the sum was not opened: {len(plaintexts)} plaintexts do not hold {length} numbers")
    if any(plaintext >> (8 * size) for plaintext in plaintexts):  # (2)
        raise _not_opened("a plaintext has bits above its slots")
    data = b"".join(int(plaintext).to_bytes(size, "little") for plaintext in plaintexts)
    slots = np.zeros((len(data) // SLOT_BYTES, ring.ELEMENT_BYTES), dtype=np.uint8)
    slots[:, :SLOT_BYTES] = np.frombuffer(data, dtype=np.uint8).reshape(-1, SLOT_BYTES)
    sums = slots.view("<u8").astype(np.uint64, copy=False)
    offsets = _offsets(len(sums), contributors)
    if (sums[length:] != offsets[length:]).any():  # (3)
        raise _not_opened("the padding is not that of the contributions")
    if not _in_bounds(sums, contributors).all():  # (4)
        raise _not_opened("a number is outside the range of its contributions")
    totals = ring.subtract(sums[:length], offsets[:length])
    if totals[0].tolist() != [contributors << ring.FRACTION_BITS, 0]:  # (5)
        raise _not_opened(f"it does not count {contributors} contributors")
    return totals


def _offsets(count: int, contributors: int) -> Ring:
    """``count`` slots that hold contributors * 2^87, the sum of that many zeros."""
    if not 1 <= contributors <= ring.MAX_SITES:
        raise PeerError(f"a sum has 1 to {ring.MAX_SITES} contributors, not {contributors}")
    offsets = np.zeros((count, 2), dtype=np.uint64)
    offsets[:, 1] = contributors * _HIGH_OFFSET
    return offsets


def _in_bounds(sums: Ring, contributors: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each slot is within contributors * 1 and contributors * (2^88 - 1), the sums of the extremes."""
    ceiling = ring.add(_offsets(len(sums), contributors), _offsets(len(sums), contributors))
    return _at_least(sums, contributors) & _at_least(ring.subtract(ceiling, sums), contributors)


def _at_least(values: Ring, least: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each value, read as a signed number of 128 bits, is ``least`` (below 2^64) or more."""
    negative = (values[:, 1] >> np.uint64(63)).astype(bool)
    return ~negative & ((values[:, 1] > 0) | (values[:, 0] >= least))


def _not_opened(what: str) -> PeerError:
    return PeerError(
        f"the sum was not opened: {what}; not every site contributed to the same sum, or a partial decryption is wrong"
    )
