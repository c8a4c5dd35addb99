"""Fixed point: exact, refusing what does not fit, and a ring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError, QuantityError

M = 2**128
fitting = st.floats(min_value=-ring.BOUND, max_value=ring.BOUND, exclude_min=True, exclude_max=True)
elements = st.integers(0, M - 1)


def integers(a: ring.Ring) -> list[int]:
    return [int(low) | int(high) << 64 for low, high in a]


def from_integers(values: list[int]) -> ring.Ring:
    return np.array([[v % 2**64, v >> 64] for v in values], dtype=np.uint64)


@given(st.lists(fitting, min_size=1, max_size=20))
def test_encoding_rounds_to_the_nearest_integer(values: list[float]) -> None:
    expected = [round(value * 2**44) if abs(value) < 2**9 else int(value * 2**44) for value in values]
    encoded = ring.encode(np.array(values), [str(i) for i in range(len(values))])
    assert integers(encoded) == [e % M for e in expected]


@given(st.lists(st.tuples(elements, elements), min_size=1, max_size=10))
def test_addition_and_negation_are_modulo_2_to_the_128(pairs: list[tuple[int, int]]) -> None:
    a, b = (from_integers([pair[i] for pair in pairs]) for i in (0, 1))
    assert integers(ring.add(a, b)) == [(x + y) % M for x, y in pairs]
    assert integers(ring.subtract(a, b)) == [(x - y) % M for x, y in pairs]
    assert integers(ring.negate(a)) == [-x % M for x, _ in pairs]


@given(st.lists(fitting, min_size=1, max_size=20))
def test_decoding_undoes_encoding_to_half_a_unit(values: list[float]) -> None:
    vector = np.array(values)
    back = ring.decode_sum(ring.encode(vector, values and [""] * len(values)), 1)
    np.testing.assert_allclose(back, vector, rtol=2**-52, atol=2.0**-45)


@given(st.binary(min_size=16, max_size=160).filter(lambda data: len(data) % 16 == 0))
def test_bytes_and_back(data: bytes) -> None:
    assert ring.to_bytes(ring.from_bytes(data, len(data) // 16)) == data


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**43, -(2.0**43), 1e300])
def test_what_does_not_fit_is_refused_by_name(value: float) -> None:
    with pytest.raises(QuantityError, match=r"gradient in age is .* does not fit the fixed-point range"):
        ring.encode(np.array([1.0, value]), ["log-likelihood", "gradient in age"])


def test_the_largest_values_of_255_sites_do_not_wrap() -> None:
    for sign in (1.0, -1.0):
        largest = sign * np.nextafter(ring.BOUND, 0.0)
        encoded = ring.encode(np.array([largest]), ["x"])
        total = from_integers([0])
        for _ in range(ring.MAX_SITES):
            total = ring.add(total, encoded)
        assert ring.decode_sum(total, ring.MAX_SITES)[0] == pytest.approx(255 * largest, rel=1e-15)


def test_a_sum_that_no_contributions_give_is_refused() -> None:
    with pytest.raises(PeerError, match="the masks did not cancel"):
        ring.decode_sum(from_integers([2**100]), 3)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(PeerError, match="takes 32 bytes, not 31"):
        ring.from_bytes(bytes(31), 2)
