"""A small deterministic world: sites in an open session under any protocol, and honest messages to lie with."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest

from fedglmm_secure.securesum import (
    Coordinator,
    JournalRecord,
    PaillierTerms,
    Phase,
    Policy,
    Relay,
    Seed,
    SessionOffer,
    SigningIdentity,
    Site,
    SumReply,
    SumRequest,
    Terms,
    paillier,
)
from fedglmm_secure.securesum.states import PHASES

NAMES = ("alpha", "beta", "gamma")
FIVE = (*NAMES, "delta", "epsilon")
QUESTION = b"what is the sum?"
SLOTS = ("first", "second")
ANSWER = (1.5, -2.0)
KEY_BITS = 512


class Drawer:
    """Predictable bytes, never the same twice."""

    def __init__(self, seed: str) -> None:
        self._seed, self._drawn = seed, 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(f"{self._seed}/{self._drawn}".encode()).digest(size)


def identity_of(name: str) -> SigningIdentity:
    return SigningIdentity.from_private_bytes(hashlib.sha256(name.encode()).digest())


@cache
def dealt(sites: int, threshold: int) -> tuple[paillier.PublicKey, tuple[paillier.KeyShare, ...]]:
    return paillier.deal(sites, threshold, KEY_BITS, secrets.token_bytes, small_for_tests=True)


def terms_for(names: Collection[str] = NAMES, threshold: int | None = None, **changes: object) -> Terms:
    """Terms of the test sites; for protocol "paillier" with a small key, which ``threshold`` of them open."""
    roster = tuple((name, identity_of(name).public_bytes) for name in sorted(names))
    terms = Terms("masking", bytes(range(32)), roster, minimum_sites=3, max_sums=40)
    if changes.get("protocol") == "paillier" and "paillier" not in changes:
        needed = threshold or paillier.smallest_threshold(len(roster))
        changes["paillier"] = PaillierTerms(dealt(len(roster), needed)[0].modulus, needed)
    return replace(terms, **changes)  # type: ignore[arg-type]


def share_of(terms: Terms, name: str) -> paillier.KeyShare | None:
    if terms.paillier is None:
        return None
    return dealt(len(terms.roster), terms.paillier.threshold)[1][terms.index_of(name) - 1]


def site_of(terms: Terms, name: str, seed: str | None = None, **changes: object) -> Site:
    """A site's machine; the same name and ``seed`` give the same machine again."""
    given: dict[str, object] = {
        "signing": identity_of(name),
        "policy": Policy(),
        "seed": Seed(Drawer(f"seed of {seed or name}")(32)),
        "randomness": Drawer(f"randomness of {seed or name}"),
        "share": share_of(terms, name),
    }
    return Site(terms, **(given | changes))  # type: ignore[arg-type]


@dataclass
class World:
    """Sites that said hello and a coordinator that made the offer; nobody has opened it yet."""

    terms: Terms
    sites: dict[str, Site]
    coordinator: Coordinator
    offer: SessionOffer
    journals: dict[str, list[JournalRecord]] = field(default_factory=dict)
    """What each site wrote down, in order."""

    def open_all(self) -> World:
        for name, site in self.sites.items():
            record = site.open(self.offer)
            assert record is not None
            self.journals[name] = [record]
        return self

    def ask(self, question: bytes = QUESTION) -> SumRequest:
        return self.coordinator.begin(question, len(SLOTS))

    def answer_of(self, name: str, request: SumRequest) -> SumReply:
        """The answer to a question whose first phase holds it."""
        site = self.sites[name]
        assert site.receive(request) is None
        return site.answer(np.array(ANSWER), SLOTS).message

    def next_for(self, name: str) -> SumRequest | Relay:
        """What the honest coordinator sends the site next, which has not received it yet."""
        following = self.coordinator.following(*self.sites[name].last, name)
        assert following is not None
        return following

    def step(self, name: str) -> SumReply:
        """Hand the site what comes next; what it sends, which the coordinator has not received yet."""
        return self.hand(name, self.next_for(name))

    def hand(self, name: str, received: SumRequest | Relay) -> SumReply:
        """Hand a site a question or a relay, whoever made it; what it sends."""
        site = self.sites[name]
        step = site.receive(received) or site.answer(np.array(ANSWER), SLOTS)
        if step.record is not None:
            self.journals[name].append(step.record)
        return step.message

    def drive(self, until: Phase, losses: Mapping[Phase, Collection[str]] | None = None) -> World:
        """An honest sum up to the end of a phase; what the coordinator relays after it is with nobody yet.

        ``losses`` names those who fall silent before they send the message of a phase.
        """
        while True:
            phases, silent = set(), False
            for name in self.coordinator.missing():
                message = self.step(name)
                phases.add(message.phase)
                if name in (losses or {}).get(message.phase, ()):
                    silent = True
                else:
                    self.coordinator.receive(message)
            if silent:
                self.coordinator.lose()
            (phase,) = phases
            if phase is until:
                return self

    def whole_sum(self, question: bytes = QUESTION) -> list[float]:
        self.ask(question)
        self.drive(PHASES[self.terms.scheme][-1])
        return self.coordinator.total().tolist()


def make_world(terms: Terms, policy: Policy | None = None) -> World:
    coordinator = Coordinator(terms)
    sites = {name: site_of(terms, name, policy=policy or Policy()) for name in terms.names}
    for site in sites.values():
        coordinator.receive_hello(site.hello())
    return World(terms, sites, coordinator, coordinator.offer(Drawer("coordinator")))


@pytest.fixture
def world() -> World:
    return make_world(terms_for())


@pytest.fixture
def opened(world: World) -> World:
    return world.open_all()


@pytest.fixture
def new_world() -> Callable[..., World]:
    def make(policy: Policy | None = None, **changes: object) -> World:
        return make_world(terms_for(**changes), policy)  # type: ignore[arg-type]

    return make


@pytest.fixture
def at(new_world: Callable[..., World]) -> Callable[..., World]:
    """A world whose first sum has come to the end of a phase; ``losses`` as in ``World.drive``."""

    def make(phase: Phase, losses: Mapping[Phase, Collection[str]] | None = None, **changes: object) -> World:
        world = new_world(**changes).open_all()
        world.ask()
        return world.drive(phase, losses)

    return make


@pytest.fixture
def new_site() -> Callable[..., Site]:
    """A site's machine; what is not a field of the terms is an argument of ``Site``."""

    def make(name: str = "alpha", seed: str | None = None, **changes: object) -> Site:
        site = {key: changes.pop(key) for key in ("policy", "signing", "earlier_sessions", "share") if key in changes}
        return site_of(terms_for(**changes), name, seed, **site)  # type: ignore[arg-type]

    return make


@pytest.fixture
def signing_of() -> Callable[[str], SigningIdentity]:
    return identity_of


@pytest.fixture
def draw() -> Drawer:
    return Drawer("test")
