"""Sums under threshold Paillier are the exact integer sums: 2 to 50 sites, any values within the bound, any k of n."""

from __future__ import annotations

import secrets
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum import paillier

BITS = 512
LARGEST = float(np.nextafter(ring.BOUND, 0.0))
IN_RANGE = st.floats(min_value=-LARGEST, max_value=LARGEST, allow_nan=False) | st.sampled_from(
    [0.0, -0.0, 2.0**-44, -(2.0**-44), 2.0**-45, 3 * 2.0**-45, 2.0**20, LARGEST, -LARGEST]
)


@cache
def dealt(sites: int) -> tuple[paillier.PublicKey, tuple[paillier.KeyShare, ...]]:
    return paillier.deal(sites, paillier.smallest_threshold(sites), BITS, secrets.token_bytes, small_for_tests=True)


def fixed_point(value: float) -> int:
    """Exactly round(value * 2^44): scaling by a power of two loses nothing, Python rounds half to even."""
    return round(float(value) * 2**44)


def integers(numbers: ring.Ring) -> list[int]:
    whole = [int(low) + (int(high) << 64) for low, high in numbers]
    return [number - 2**128 if number >> 127 else number for number in whole]


def encrypted_sum(public: paillier.PublicKey, vectors: np.ndarray) -> list[int]:
    contributions = []
    for values in vectors:
        encoded = ring.encode(np.array([1.0, *values]), ["count"] + ["x"] * len(values))
        plaintexts = paillier.pack(encoded, public.bits)
        blinders = paillier.prepare(public, len(plaintexts), secrets.token_bytes)
        contributions.append(paillier.encrypt(public, plaintexts, blinders))
    return paillier.multiply(public, contributions)


@st.composite
def cohorts(draw):
    """Vectors of up to 11 numbers: with the count one to three ciphertexts of five slots."""
    sites, numbers = draw(st.integers(2, 50)), draw(st.integers(1, 11))
    rows = st.lists(IN_RANGE, min_size=numbers, max_size=numbers)
    vectors = np.array(draw(st.lists(rows, min_size=sites, max_size=sites)))
    threshold = paillier.smallest_threshold(sites)
    order = draw(st.permutations(range(1, sites + 1)))
    return vectors, order[: draw(st.integers(threshold, sites))]


@given(cohort=cohorts())
@settings(max_examples=50, deadline=None)
def test_the_opened_sum_is_the_exact_integer_sum(cohort):
    vectors, openers = cohort
    sites = len(vectors)
    public, shares = dealt(sites)
    product = encrypted_sum(public, vectors)
    partials = {index: paillier.partial_decrypt(public, shares[index - 1], product) for index in openers}
    plaintexts = paillier.combine(public, paillier.smallest_threshold(sites), sites, partials)
    total = paillier.unpack(plaintexts, vectors.shape[1] + 1, sites, BITS)
    exact = [sum(fixed_point(value) for value in column) for column in vectors.T]
    assert integers(total) == [sites << 44, *exact]


@given(sites=st.integers(2, 50), order=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_one_site_less_than_the_threshold_opens_nothing(sites, order):
    public, shares = dealt(sites)
    threshold = paillier.smallest_threshold(sites)
    product = encrypted_sum(public, np.ones((sites, 1)))
    few = order.sample(shares, threshold - 1)
    partials = {share.index: paillier.partial_decrypt(public, share, product) for share in few}
    with pytest.raises(PeerError, match="a decryption takes"):
        paillier.combine(public, threshold, sites, partials)
    with pytest.raises(PeerError, match="do not fit together"):
        paillier.combine(public, threshold - 1, sites, partials)


@given(sites=st.integers(3, 50), missing=st.integers(1, 2), twice=st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_product_of_other_contributions_is_not_opened(sites, missing, twice):
    """One or two sites left out, or one taken twice: the count, at least, tells."""
    public, shares = dealt(sites)
    multiplied = sites + 1 if twice else sites - missing
    product = encrypted_sum(public, np.ones((multiplied, 2)))
    partials = {share.index: paillier.partial_decrypt(public, share, product) for share in shares}
    plaintexts = paillier.combine(public, paillier.smallest_threshold(sites), sites, partials)
    with pytest.raises(PeerError, match="not opened"):
        paillier.unpack(plaintexts, 3, sites, BITS)
    assert paillier.unpack(plaintexts, 3, multiplied, BITS)[0].tolist() == [multiplied << 44, 0]
