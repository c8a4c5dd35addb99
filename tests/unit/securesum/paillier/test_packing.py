"""Slots: where they lie, what they hold at the bounds, and what is not opened."""

from __future__ import annotations

import numpy as np
import pytest

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError, QuantityError
from fedglmm_secure.securesum.paillier import pack, plaintexts_for, slots_per_plaintext, unpack

LARGEST = float(np.nextafter(2.0**43, 0.0))
OFFSET = 2**87


def encoded(values: list[float]) -> ring.Ring:
    return ring.encode(np.array([1.0, *values]), ["count"] + ["x"] * len(values))


def integers(numbers: ring.Ring) -> list[int]:
    """Signed integers of two's-complement limbs, one by one."""
    whole = [int(low) + (int(high) << 64) for low, high in numbers]
    return [number - 2**128 if number >> 127 else number for number in whole]


def packed_by_hand(numbers: list[int], slots: int) -> list[int]:
    """The definition, number by number."""
    padded = numbers + [0] * (-len(numbers) % slots)
    rows = [padded[start : start + slots] for start in range(0, len(padded), slots)]
    return [sum((x + OFFSET) << (96 * place) for place, x in enumerate(row)) for row in rows]


def test_slots_of_the_documented_sizes():
    assert slots_per_plaintext(3072) == 31
    assert slots_per_plaintext(2048) == 21
    assert plaintexts_for(254, 3072) == 9
    assert (plaintexts_for(31, 3072), plaintexts_for(32, 3072)) == (1, 2)


@pytest.mark.parametrize("bits", [512, 2048, 3072])
def test_slots_lie_where_the_definition_says(bits):
    values = [0.0, -0.0, 1.5, -1.5, LARGEST, -LARGEST, 2.0**-44, -(2.0**-44)] * 5
    numbers = integers(encoded(values))
    assert numbers == [2**44] + [round(value * 2**44) for value in values]
    plaintexts = pack(encoded(values), bits)
    assert plaintexts == packed_by_hand(numbers, slots_per_plaintext(bits))
    assert all(plaintext.bit_length() < bits for plaintext in plaintexts)


def test_255_sites_at_the_bounds_carry_into_no_neighbour():
    rows = [encoded([sign * LARGEST, 0.0, -sign * LARGEST, -(2.0**-44)] * 3) for sign in (1, -1)]
    for row in rows:
        totals = [255 * plaintext for plaintext in pack(row, 512)]
        assert integers(unpack(totals, len(row), 255, 512)) == [255 * number for number in integers(row)]


@pytest.mark.parametrize("number", [2**87 - 1, -(2**87) + 1])
def test_the_extreme_slots_come_back(number):
    row = encoded([0.0])
    row[1] = [number % 2**64, (number % 2**128) >> 64]
    assert integers(unpack(pack(row, 512), 2, 1, 512)) == [2**44, number]


@pytest.mark.parametrize("number", [2**87, -(2**87), 2**127, 2**100, -(2**100)])
def test_what_does_not_fit_a_slot_is_refused(number):
    row = encoded([0.0])
    row[1] = [number % 2**64, (number % 2**128) >> 64]
    with pytest.raises(QuantityError, match="number 2 of the answer"):
        pack(row, 512)


def changed(place: int, slot: int, by: int) -> list[int]:
    """The sum of three contributions of 1 and 0.5 five times (slots 0 to 4 and 5, then padding), changed."""
    plaintexts = [3 * plaintext for plaintext in pack(encoded([0.5] * 5), 512)]
    plaintexts[place] += by << (96 * slot)
    return plaintexts


def test_the_unchanged_sum_opens():
    assert ring.decode_sum(unpack(changed(0, 0, 0), 6, 3, 512), 3).tolist() == [3.0] + [1.5] * 5


@pytest.mark.parametrize(
    ("plaintexts", "what"),
    [
        (changed(0, 5, 1), "bits above its slots"),
        (changed(1, 5, 1), "bits above its slots"),
        (changed(1, 1, 1), "padding"),
        (changed(1, 4, -1), "padding"),
        (changed(0, 1, 3 * 2**87), "outside the range"),
        (changed(0, 1, -3 * (2**87 + 2**43) + 2), "outside the range"),
        (changed(0, 0, 1), "count 3 contributors"),
        (changed(0, 0, -(2**44)), "count 3 contributors"),
        (changed(0, 0, 2**64), "count 3 contributors"),
        (changed(0, 0, 0)[:1], "1 plaintexts do not hold 6 numbers"),
        ([*changed(0, 0, 0), 0], "3 plaintexts do not hold 6 numbers"),
        ([0, 0], "padding"),
        ([-1, 0], "bits above its slots"),
    ],
)
def test_what_is_no_sum_of_three_is_not_opened(plaintexts, what):
    with pytest.raises(PeerError, match=f"not opened: .*{what}"):
        unpack(plaintexts, 6, 3, 512)


def test_the_sum_of_three_is_not_one_of_two_or_four():
    for contributors in (2, 4):
        with pytest.raises(PeerError, match="not opened"):
            unpack(changed(0, 0, 0), 6, contributors, 512)


@pytest.mark.parametrize("contributors", [-1, 0, 256])
def test_sums_of_no_or_too_many_contributors_are_refused(contributors):
    with pytest.raises(PeerError, match="1 to 255 contributors"):
        unpack(changed(0, 0, 0), 6, contributors, 512)
