"""Messages that were damaged on their way never crash a party, and one that is refused changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import cast

import numpy as np
import pytest

from fedglmm_secure.errors import FedglmmError, LinkError
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Describe
from fedglmm_secure.securesum import Coordinator, Hello, PaillierTerms, Policy, Relay, Seed, Site, Step, SumReply, Terms
from fedglmm_secure.securesum.paillier.keys import KeyShare
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.messages import Next, Ready, Refusal
from tests.property.mangling import mangle
from tests.vectors.cases import drawn
from tests.vectors.cases_paillier import MODULUS, P, Q
from tests.vectors.independent.paillier import key_shares
from tests.vectors.transcripts import roster, signing_of

NAMES = ("1_UM", "2_IU", "3_UK", "4_Case")
VALUES = (1.5, -2.0)
SHARES = {
    name: KeyShare(i, secret)
    for i, (name, secret) in enumerate(zip(NAMES, key_shares(P, Q, 4, [5, 7]), strict=True), 1)
}
TERMS = {
    "masking": {},
    "masking with dropouts": {"dropouts": 1, "on_dropout": "exclude"},
    "paillier": {"protocol": "paillier", "paillier": PaillierTerms(MODULUS, 3)},
}


class Session:
    """A session of two sums, in which some messages come damaged, a few times, before they come as they were sent."""

    def __init__(self, scheme: str, seed: int) -> None:
        changes: Mapping[str, object] = {"protocol": "masking", **TERMS[scheme]}
        self.terms = Terms(study_digest=drawn("study"), roster=roster(*NAMES), minimum_sites=3, max_sums=9, **changes)
        self.random = Random(seed)
        self.refused = self.taken_by_sites = self.taken_by_coordinator = 0
        self.coordinator = Coordinator(self.terms)
        self.sites = {
            name: Site(
                self.terms, signing_of(name), Policy(), Seed(drawn(name)),
                randomness=Random(seed).randbytes, share=SHARES[name],
            )
            for name in NAMES
        }  # fmt: skip

    def run(self) -> list[list[float]]:
        """The sums."""
        for site in self.sites.values():
            self._to_coordinator(codec.encode_site(site.hello()))
        self.offer = self.coordinator.offer(lambda size: drawn("nonce", size))
        return [self._sum() for _ in range(2)]

    def _sum(self) -> list[float]:
        self.coordinator.begin(questions.encode(Describe()), len(VALUES))
        while not self.coordinator.is_complete:
            for name in self.coordinator.missing():
                self._step(self.sites[name])
        return self.coordinator.total().tolist()

    def _step(self, site: Site) -> None:
        received = self.coordinator.following(*site.last, site.name)
        if received is None:
            raise LinkError("the coordinator waits for a message that the site has sent")
        message = received
        if not isinstance(received, Relay):
            message = Next(self.offer if received.number == 1 else None, received, Describe())
        data = codec.encode_coordinator(message)
        session = site.session_id
        self.taken_by_sites += self._damaged(data, lambda sent: self._hand(site, sent))
        self.taken_by_sites += site.session_id != session  # an offer was taken, the question with it was not
        step = self._hand(site, data) or site.answer(np.array(VALUES), ("first", "second"))
        self._to_coordinator(codec.encode_site(step.message))

    def _to_coordinator(self, data: bytes) -> None:
        self.taken_by_coordinator += self._damaged(data, self._receive)
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        message = codec.decode_site(data)
        if isinstance(message, Hello):
            self.coordinator.receive_hello(message)
        elif not isinstance(message, Ready | Refusal):  # these never reach the machine
            self.coordinator.receive(cast("SumReply", message))

    @staticmethod
    def _hand(site: Site, data: bytes) -> Step | None:
        message = codec.decode_coordinator(data)
        if isinstance(message, Next):
            if message.offer is not None:
                site.open(message.offer)
            return site.receive(message.request)
        return site.receive(message) if isinstance(message, Relay) else None

    def _damaged(self, data: bytes, take: Callable[[bytes], object]) -> int:
        """How many damaged messages were taken. An error outside the tree ends the test."""
        taken = 0
        for _ in range(self.random.choice([0, 0, 0, 0, 0, 3])):
            try:
                take(mangle(data, self.random))
                taken += 1
            except FedglmmError:
                self.refused += 1
        return taken


@pytest.mark.parametrize("scheme", TERMS)
def test_damaged_messages_are_refused_and_change_nothing(scheme):
    """Where a site took one all the same, as a question that says something else, the sum is right or not opened."""
    untouched = refused = 0
    for seed in range(40):
        session, stopped = Session(scheme, seed), False
        try:
            sums = session.run()
        except FedglmmError:
            stopped = True
        refused += session.refused
        if session.taken_by_coordinator == 0 and not stopped:
            assert sums == [[4 * value for value in VALUES]] * 2
        if session.taken_by_coordinator == session.taken_by_sites == 0:
            assert not stopped
            untouched += session.refused > 0
    assert untouched > 3
    assert refused > 100
