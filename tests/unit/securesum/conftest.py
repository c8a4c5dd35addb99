"""A small deterministic world: three sites in an open session, and messages to lie with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedglmm_secure.securesum import (
    Contribution,
    Coordinator,
    Policy,
    SessionOffer,
    SigningIdentity,
    Site,
    SumRequest,
    Terms,
)

NAMES = ("alpha", "beta", "gamma")
QUESTION = b"what is the sum?"
SLOTS = ("first", "second")


class Drawer:
    """Predictable bytes, never the same twice."""

    def __init__(self, seed: str) -> None:
        self._seed, self._drawn = seed, 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(f"{self._seed}/{self._drawn}".encode()).digest(size)


def identity_of(name: str) -> SigningIdentity:
    return SigningIdentity.from_private_bytes(hashlib.sha256(name.encode()).digest())


def terms_for(names: tuple[str, ...] = NAMES, **changes: object) -> Terms:
    roster = tuple((name, identity_of(name).public_bytes) for name in names)
    terms = Terms("masking", bytes(range(32)), roster, minimum_sites=3, max_sums=5)
    return replace(terms, **changes)  # type: ignore[arg-type]


@dataclass
class World:
    """Sites that said hello and a coordinator that made the offer; nobody has opened it yet."""

    terms: Terms
    sites: dict[str, Site]
    coordinator: Coordinator
    offer: SessionOffer

    def open_all(self) -> None:
        for site in self.sites.values():
            site.open(self.offer)

    def ask(self, question: bytes = QUESTION) -> SumRequest:
        return self.coordinator.begin(question, len(SLOTS))

    def answer_of(self, name: str, request: SumRequest) -> Contribution:
        site = self.sites[name]
        assert site.receive(request) is None
        return site.answer(np.array([1.5, -2.0]), SLOTS)[1]


def make_world(terms: Terms, policy: Policy | None = None) -> World:
    draw = Drawer("world")
    coordinator = Coordinator(terms)
    sites = {name: Site(terms, identity_of(name), policy or Policy(), draw) for name in terms.names}
    for site in sites.values():
        coordinator.receive_hello(site.hello())
    return World(terms, sites, coordinator, coordinator.offer(draw))


@pytest.fixture
def world() -> World:
    return make_world(terms_for())


@pytest.fixture
def opened(world: World) -> World:
    world.open_all()
    return world


@pytest.fixture
def new_world() -> Callable[..., World]:
    def make(policy: Policy | None = None, **changes: object) -> World:
        return make_world(terms_for(**changes), policy)  # type: ignore[arg-type]

    return make


@pytest.fixture
def new_site() -> Callable[..., Site]:
    def make(name: str = "alpha", **changes: object) -> Site:
        policy = changes.pop("policy", Policy())
        journal = changes.pop("journal", ())
        signing = changes.pop("signing", identity_of(name))
        seed = str(changes.pop("seed", name))
        return Site(terms_for(**changes), signing, policy, Drawer(seed), journal)  # type: ignore[arg-type]

    return make


@pytest.fixture
def signing_of() -> Callable[[str], SigningIdentity]:
    return identity_of


@pytest.fixture
def draw() -> Drawer:
    return Drawer("test")
