"""Whole sums of both protocols of several phases: any number of sites, any order, any loss that the study allows.

What comes out is the exact integer sum over those who were not lost before their numbers were in, or a stop that names
who is missing; never another sum.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedglmm_secure import ring
from fedglmm_secure.errors import LinkError
from fedglmm_secure.securesum import (
    Coordinator,
    PaillierTerms,
    Phase,
    Policy,
    Seed,
    SigningIdentity,
    Site,
    Terms,
    paillier,
)
from fedglmm_secure.securesum.states import CLOSING, phases_of

LARGEST = float(np.nextafter(ring.BOUND, 0.0))
"""2^43 less what a double of that size resolves; the codec's own bound, 2^43 - 2^-44, is no double."""
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, LARGEST, -LARGEST, 2.0**-44, -(2.0**-44), 2.0**20, -(2.0**-43)]) | st.floats(
    min_value=-LARGEST, max_value=LARGEST, allow_nan=False
)
LENGTH = 7
"""With the count eight numbers: two Paillier plaintexts at 512 bits, the second with padding."""
BITS = 512


@cache
def dealt(sites: int) -> tuple[paillier.PublicKey, tuple[paillier.KeyShare, ...]]:
    return paillier.deal(sites, paillier.smallest_threshold(sites), BITS, secrets.token_bytes, small_for_tests=True)


def key_of(number: int) -> SigningIdentity:
    return SigningIdentity.from_private_bytes(hashlib.sha256(bytes([number])).digest())


def most_dropouts(protocol: str, sites: int) -> int:
    threshold = 2 * sites // 3 + 1 if protocol == "masking" else sites // 2 + 1
    return max(0, sites - max(threshold, 2))


def terms_of(protocol: str, sites: int, dropouts: int, on_dropout: str) -> Terms:
    roster = tuple((f"site {number:02}", key_of(number).public_bytes) for number in range(sites))
    key = PaillierTerms(dealt(sites)[0].modulus, sites // 2 + 1) if protocol == "paillier" else None
    return Terms(
        protocol,
        bytes(32),
        roster,
        minimum_sites=2,
        max_sums=40,
        dropouts=dropouts,
        on_dropout=on_dropout,
        paillier=key,
    )


@dataclass(frozen=True)
class Case:
    """A study's terms, the numbers of each site, and who falls silent before the message of which phase."""

    terms: Terms
    vectors: np.ndarray
    losses: Mapping[Phase, Sequence[str]]
    seed: int


@st.composite
def cases(draw: st.DrawFn, protocol: str, largest: int = 9) -> Case:
    sites = draw(st.integers(4, largest))
    dropouts = draw(st.integers(1, most_dropouts(protocol, sites)))
    return draw(cases_of(protocol, sites, dropouts))


@st.composite
def cases_of(draw: st.DrawFn, protocol: str, sites: int, dropouts: int) -> Case:
    """Up to ``dropouts`` lost before their numbers are in, and up to the threshold after: each at any phase."""
    terms = terms_of(protocol, sites, dropouts, "exclude")
    order = draw(st.permutations(terms.names))
    early = draw(st.integers(0, dropouts))
    late = draw(st.integers(0, sites - early - terms.threshold))
    phases = phases_of(terms.scheme, 1)
    open_phases = st.sampled_from([phase for phase in phases if phase not in CLOSING])
    closing_phases = st.sampled_from([phase for phase in phases if phase in CLOSING])
    when = {name: draw(open_phases) for name in order[:early]}
    when |= {name: draw(closing_phases) for name in order[early : early + late]}
    losses = {phase: [name for name, lost in when.items() if lost is phase] for phase in phases}
    rows = st.lists(st.lists(NUMBERS, min_size=LENGTH, max_size=LENGTH), min_size=sites, max_size=sites)
    return Case(terms, np.array(draw(rows)), losses, draw(st.integers(0, 2**32)))


class Fit:
    """An open session, and a network that keeps order as it likes and carries everything twice."""

    def __init__(self, terms: Terms, seed: int) -> None:
        self.random = Random(seed)
        draw = self.random.randbytes
        self.coordinator = Coordinator(terms)
        shares = dealt(len(terms.roster))[1] if terms.paillier else [None] * len(terms.roster)
        self.sites = {
            name: Site(terms, key_of(i), Policy(), Seed(draw(32)), randomness=draw, share=shares[i])
            for i, name in enumerate(terms.names)
        }
        for site in self.sites.values():
            self.coordinator.receive_hello(site.hello())
        offer = self.coordinator.offer(draw)
        for site in self.sites.values():
            site.open(offer)

    def sum(self, vectors: Mapping[str, np.ndarray], losses: Mapping[Phase, Sequence[str]]) -> list[int]:
        """The numbers of the sum, with the count first, as integers; LinkError when it cannot be opened."""
        names = [f"number {place}" for place in range(LENGTH)]
        self.coordinator.begin(b"question", LENGTH)
        while not self.coordinator.is_complete:
            messages = []
            for name in self.coordinator.missing():
                site = self.sites[name]
                received = self.coordinator.following(*site.last, name)
                assert received is not None
                step = site.receive(received) or site.answer(vectors[name], names)
                if name not in losses.get(step.message.phase, ()):
                    messages += [step.message] * 2
            self.random.shuffle(messages)
            silent = len(messages) < 2 * len(self.coordinator.missing())
            for message in messages:
                self.coordinator.receive(message)
            if silent:
                self.coordinator.lose()
        opened = self.coordinator._protection.total(self.coordinator._sum.collected)
        total = self.coordinator.total()
        assert total.tolist() == ring.decode_sum(opened, len(self.coordinator.cohort))[1:].tolist()
        return signed(opened)


def signed(numbers: ring.Ring) -> list[int]:
    whole = [int(low) + (int(high) << 64) for low, high in numbers]
    return [number - 2**128 if number >> 127 else number for number in whole]


def exact(rows: Sequence[np.ndarray]) -> list[int]:
    """Scaling by a power of two loses nothing, Python rounds half to even."""
    return [
        len(rows) << 44,
        *(sum(round(float(value) * 2**44) for value in column) for column in zip(*rows, strict=True)),
    ]


def check(case: Case) -> None:
    vectors = dict(zip(case.terms.names, case.vectors, strict=True))
    fit = Fit(case.terms, case.seed)
    total = fit.sum(vectors, case.losses)
    lost = {name for phase, names in case.losses.items() if phase not in CLOSING for name in names}
    assert fit.coordinator.cohort == tuple(name for name in case.terms.names if name not in lost)
    assert total == exact([vectors[name] for name in fit.coordinator.cohort])
    assert fit.sum(vectors, {}) == total  # and the next sum goes on over the same sites


@given(case=cases("masking"))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_masked_sums_that_lose_sites_at_any_phase_are_exact(case):
    check(case)


@given(case=cases("paillier", largest=50))
@settings(max_examples=8, deadline=None, derandomize=True)
def test_encrypted_sums_that_lose_sites_at_any_phase_are_exact(case):
    check(case)


@pytest.mark.parametrize(
    ("protocol", "sites"),
    [*(("masking", sites) for sites in (13, 25, 37, 50)), *(("paillier", sites) for sites in (25, 50))],
)
def test_sums_of_many_sites_that_lose_as_many_as_they_may_are_exact(protocol, sites):
    random = Random(sites)
    dropouts = most_dropouts(protocol, sites)
    terms = terms_of(protocol, sites, dropouts, "exclude")
    lost = random.sample(terms.names, dropouts)
    open_phases = [phase for phase in phases_of(terms.scheme, 1) if phase not in CLOSING]
    losses = {phase: lost[place :: len(open_phases)] for place, phase in enumerate(open_phases)}
    values = [LARGEST, -LARGEST, 2.0**-44, 0.0, -1.5, 2.0**42, 1e-9]
    check(Case(terms, np.array([random.sample(values, LENGTH) for _ in range(sites)]), losses, sites))


def test_masked_sums_of_fifty_sites_that_may_lose_some_are_exact():
    terms = terms_of("masking", 50, 16, "wait")
    vectors = {name: np.full(LENGTH, LARGEST if place % 3 else -LARGEST) for place, name in enumerate(terms.names)}
    lost = terms.names[::4][:12]
    assert Fit(terms, 0).sum(vectors, {Phase.AGREE: lost[:6], Phase.UNMASK: lost[6:]}) == exact(list(vectors.values()))


@given(sites=st.integers(2, 12), value=NUMBERS, seed=st.integers(0, 99))
@example(sites=2, value=LARGEST, seed=0)
@example(sites=2, value=-LARGEST, seed=0)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_encrypted_sums_of_few_sites_are_exact(sites, value, seed):
    """Two sites too, and all slots at their extremes: no carry reaches a neighbour."""
    terms = terms_of("paillier", sites, 0, "wait")
    signs = np.resize([1.0, -1.0], LENGTH)
    vectors = dict.fromkeys(terms.names, signs * value)
    assert Fit(terms, seed).sum(vectors, {}) == exact(list(vectors.values()))


@pytest.mark.parametrize("above", [-1, 0, 1])
@pytest.mark.parametrize("protocol", ["masking", "paillier"])
@given(sites=st.integers(4, 9), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=8, deadline=None, derandomize=True)
def test_one_less_than_the_threshold_is_a_stop_that_names_the_missing(protocol, above, sites, seed, data):
    terms = terms_of(protocol, sites, 1 if protocol == "masking" else 0, "wait")
    closing = [phase for phase in phases_of(terms.scheme, 1) if phase in CLOSING]
    phase = data.draw(st.sampled_from(closing))
    lost = sorted(data.draw(st.permutations(terms.names))[min(terms.threshold + above, sites) :])
    vectors = {name: np.arange(LENGTH, dtype=float) - place for place, name in enumerate(terms.names)}
    fit = Fit(terms, seed)
    if above < 0:
        with pytest.raises(LinkError, match=f"sum 1 cannot be opened without {', '.join(lost)}; start those sites"):
            fit.sum(vectors, {phase: lost})
    else:
        assert fit.sum(vectors, {phase: lost}) == exact(list(vectors.values()))


@pytest.mark.parametrize("protocol", ["masking", "paillier"])
@given(sites=st.integers(4, 8), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=8, deadline=None, derandomize=True)
def test_waiting_for_a_site_that_comes_back_is_exact(protocol, sites, seed, data):
    """Whoever is late in whichever phase: under ``wait`` the sum stops, by name, and goes on over all."""
    terms = terms_of(protocol, sites, 1 if protocol == "masking" else 0, "wait")
    phase = data.draw(st.sampled_from([phase for phase in phases_of(terms.scheme, 1) if phase not in CLOSING]))
    late = sorted(data.draw(st.permutations(terms.names))[: data.draw(st.integers(1, sites))])
    vectors = {name: np.full(LENGTH, float(place)) for place, name in enumerate(terms.names)}
    fit = Fit(terms, seed)
    with pytest.raises(LinkError, match=f"no word from {', '.join(late)}; start those sites again"):
        fit.sum(vectors, {phase: late})
    names = [f"number {place}" for place in range(LENGTH)]
    while not fit.coordinator.is_complete:
        for name in fit.coordinator.missing():
            site = fit.sites[name]
            received = fit.coordinator.following(*site.last, name)
            step = None if received is None else site.receive(received) or site.answer(vectors[name], names)
            fit.coordinator.receive(site._sum.sent if step is None else step.message)
    assert fit.coordinator.total().tolist() == [sites * (sites - 1) / 2] * LENGTH


@pytest.mark.parametrize("element", [2**87 - 1, 1 - 2**87], ids=["largest", "smallest"])
@pytest.mark.parametrize("protocol", ["masking without dropouts", "masking", "paillier"])
def test_the_codecs_own_bounds_are_summed_exactly(monkeypatch, protocol, element):
    """+-(2^43 - 2^-44), which no double holds, in every place but the count's, from every site."""
    sites = 7
    terms = terms_of(protocol.split()[0], sites, 2 if protocol == "masking" else 0, "wait")
    encoded = np.array([[1 << 44, 0]] + [[element % 2**64, element % 2**128 >> 64]] * LENGTH, dtype=np.uint64)
    monkeypatch.setattr(ring, "encode", lambda _values, _names: encoded)
    zeros = {name: np.zeros(LENGTH) for name in terms.names}
    assert Fit(terms, 0).sum(zeros, {}) == [sites << 44] + [sites * element] * LENGTH
