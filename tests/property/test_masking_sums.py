"""Masked sums are the exact integer sums: any number of sites, any vectors within the bound."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, norm

from fedglmm_secure import ring
from fedglmm_secure.errors import QuantityError
from fedglmm_secure.securesum import Policy, SigningIdentity, Terms, open_session, secure_sum, sum_once
from fedglmm_secure.securesum.messages import Contribution

LARGEST = np.nextafter(ring.BOUND, 0.0)
IN_RANGE = st.floats(min_value=-LARGEST, max_value=LARGEST, allow_nan=False) | st.sampled_from(
    [0.0, -0.0, 2.0**-44, -(2.0**-44), 2.0**-45, 3 * 2.0**-45, 2.0**20, LARGEST, -LARGEST]
)


class Drawer:
    """Predictable bytes, never the same twice."""

    def __init__(self, seed: int) -> None:
        self._seed, self._drawn = seed, 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(f"{self._seed}/{self._drawn}".encode()).digest(size)


def parties(sites: int, protocol: str = "masking") -> tuple[Terms, list[SigningIdentity]]:
    keys = [SigningIdentity.from_private_bytes(hashlib.sha256(bytes([i])).digest()) for i in range(sites)]
    roster = tuple((f"site {i:02}", key.public_bytes) for i, key in enumerate(keys))
    return Terms(protocol, bytes(32), roster, minimum_sites=2, max_sums=10), keys


def fixed_point(value: float) -> int:
    """Exactly round(value * 2^44): scaling by a power of two loses nothing, Python rounds half to even."""
    return round(float(value) * 2**44)


@st.composite
def cohorts(draw):
    sites, numbers = draw(st.integers(2, 50)), draw(st.integers(1, 6))
    rows = st.lists(IN_RANGE, min_size=numbers, max_size=numbers)
    return np.array(draw(st.lists(rows, min_size=sites, max_size=sites)))


@given(vectors=cohorts(), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_masked_sum_is_the_exact_integer_sum(vectors, seed):
    terms, keys = parties(len(vectors))
    answers = dict(zip(terms.names, vectors, strict=True))
    names = [f"number {i}" for i in range(vectors.shape[1])]
    total = secure_sum(terms, keys, b"question", answers, names, randomness=Drawer(seed))
    exact = [sum(fixed_point(value) for value in column) for column in vectors.T]
    assert total.tolist() == pytest.approx([value / 2**44 for value in exact], rel=2**-52, abs=0)


@given(vectors=cohorts(), seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_masks_cancel_to_the_last_bit(vectors, seed):
    """On ring elements, where nothing is rounded."""
    terms, keys = parties(len(vectors))
    coordinator, sites = open_session(terms, keys, Drawer(seed))
    names = [f"number {i}" for i in range(vectors.shape[1])]
    request = coordinator.begin(b"question", len(names))
    total = [0] * (len(names) + 1)
    for site, values in zip(sites.values(), vectors, strict=True):
        site.receive(request)
        vector = site.answer(values, names).message.vector
        numbers = [int.from_bytes(vector[i : i + 16], "little") for i in range(0, len(vector), 16)]
        total = [(a + b) % 2**128 for a, b in zip(total, numbers, strict=True)]
    exact = [sum(fixed_point(value) for value in column) % 2**128 for column in vectors.T]
    assert total == [len(vectors) << 44, *exact]


@given(
    sites=st.integers(2, 8),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]) | st.floats(min_value=ring.BOUND, allow_infinity=False),
    sign=st.sampled_from([1, -1]),
)
@settings(max_examples=30, deadline=None)
def test_what_does_not_fit_is_refused_by_name(sites, bad, sign):
    terms, keys = parties(sites)
    answers = {name: np.zeros(3) for name in terms.names}
    answers[terms.names[-1]] = np.array([0.0, sign * bad, 0.0])
    with pytest.raises(QuantityError, match="gradient in age is"):
        secure_sum(terms, keys, b"q", answers, ["a", "gradient in age", "c"], randomness=Drawer(0))


@given(sites=st.integers(2, 10), order=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_arrival_does_not_matter(sites, order):
    terms, keys = parties(sites)
    order.shuffle(keys)
    answers = {name: np.array([float(i)]) for i, name in enumerate(terms.names)}
    total = secure_sum(terms, keys, b"q", answers, ["number"], randomness=Drawer(1))
    assert total.tolist() == [sites * (sites - 1) / 2]


@pytest.mark.parametrize("value", [0.0, LARGEST, -LARGEST])
@pytest.mark.parametrize("dropouts", [0, 1])
@pytest.mark.parametrize("who", [0, 1, 3])
def test_one_masked_upload_looks_uniform(value, dropouts, who):
    """Byte-level chi-square, over all bytes and over each of the 16 byte positions; serial correlation of bytes.

    For masking with all sites, and for masking twice, so that sums survive lost sites.
    """
    upload = masked_upload(dropouts, who, value, 20_000)
    p_values = [chisquare(np.bincount(upload, minlength=256)).pvalue]
    p_values += [chisquare(np.bincount(column, minlength=256)).pvalue for column in upload.reshape(-1, 16).T]
    nibbles = (upload[:-1] & 0xF0) | (upload[1:] >> 4)
    p_values.append(chisquare(np.bincount(nibbles[::2], minlength=256)).pvalue)
    for lag in (1, 2, 8, 16, 32):  # of a uniform stream the correlation is normal with variance 1 / n
        correlation = np.corrcoef(upload[:-lag], upload[lag:])[0, 1]
        p_values.append(2.0 * norm.sf(abs(correlation) * np.sqrt(len(upload) - lag)))
    assert min(p_values) > 1e-5  # 23 tests on fixed bytes


def test_the_tests_of_uniformity_notice_an_upload_without_masks():
    bare = np.frombuffer(ring.to_bytes(ring.encode(np.full(20_000, LARGEST), ["x"] * 20_000)), dtype=np.uint8)
    assert chisquare(np.bincount(bare, minlength=256)).pvalue < 1e-100
    assert abs(np.corrcoef(bare[:-16], bare[16:])[0, 1]) > 0.5


def masked_upload(dropouts: int, who: int, value: float, numbers: int) -> np.ndarray:
    """The bytes of one site's vector in the first sum of four sites."""
    terms, keys = parties(4)
    coordinator, sites = open_session(replace(terms, dropouts=dropouts), keys, Drawer(7))
    coordinator.begin(b"q", numbers)
    names, values = ["number"] * numbers, np.full(numbers, value)
    while True:
        for name in coordinator.missing():
            received = coordinator.following(*sites[name].last, name)
            message = (sites[name].receive(received) or sites[name].answer(values, names)).message
            if isinstance(message, Contribution) and name == terms.names[who]:
                return np.frombuffer(message.vector, dtype=np.uint8)
            coordinator.receive(message)


def test_two_uploads_of_the_same_value_share_nothing():
    terms, keys = parties(3)
    coordinator, sites = open_session(terms, keys, Drawer(3))
    uploads = []
    for number in range(2):
        request = coordinator.begin(b"the same question", 100)
        for site in sites.values():
            site.receive(request)
            sent = site.answer(np.zeros(100), ["zero"] * 100).message
            coordinator.receive(sent)
            uploads.append(np.frombuffer(sent.vector, dtype=np.uint8))
        assert coordinator.total().tolist() == [0.0] * 100, number
    same = [np.mean(a == b) for i, a in enumerate(uploads) for b in uploads[:i]]
    assert max(same) < 0.02  # 1/256 by chance


def test_plain_gives_the_same_sum():
    terms, keys = parties(4, "plain")
    answers = {name: np.array([0.1, -7.0]) for name in terms.names}
    total = secure_sum(terms, keys, b"q", answers, ["a", "b"], randomness=Drawer(0), policy=Policy(allow_plain=True))
    masked_terms, _ = parties(4)
    masked = secure_sum(masked_terms, keys, b"q", answers, ["a", "b"], randomness=Drawer(0))
    assert total.tolist() == masked.tolist()


def test_a_session_serves_many_sums():
    terms, keys = parties(3)
    coordinator, sites = open_session(terms, keys, Drawer(0))
    for step in range(5):
        answers = {name: np.array([float(step)]) for name in terms.names}
        assert sum_once(coordinator, sites, b"%d" % step, answers, ["step"]).tolist() == [3.0 * step]
