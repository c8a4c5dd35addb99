"""The site's machine: what a site checks before anything of its own leaves. No network, no disk, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.messages import (
    KEY_BYTES,
    NONCE_BYTES,
    Contribution,
    Hello,
    JournalRecord,
    SessionOffer,
    SumRequest,
)
from fedglmm_secure.securesum.protection import Randomness, protection_of
from fedglmm_secure.securesum.session import NO_SESSION, Policy, Terms, open_offer, sign_hello
from fedglmm_secure.securesum.states import SITE, Machine, SiteEvent, SiteState

COUNT_SLOT = "number of contributors"
"""The first slot of every vector: each site adds 1, so the sum must be the number of sites."""


class Site:
    """One site in one session.

    The order of calls is ``hello``, ``open``, then for each sum ``receive`` and, when it returns None,
    ``answer``. The journal is that of the site's earlier sessions: their keys are gone, so their ids are
    never answered again.
    """

    def __init__(
        self,
        terms: Terms,
        signing: SigningIdentity,
        policy: Policy,
        randomness: Randomness,
        journal: Iterable[JournalRecord] = (),
    ) -> None:
        """Check the study's terms against the site's policy; RefusalError before anything is sent."""
        policy.check(terms)
        self.name = terms.name_of(signing.public_bytes)
        self._terms = terms
        self._machine = Machine(SITE, SiteState.NEW)
        self._protection = protection_of(terms.protocol).at_site(randomness(KEY_BYTES))
        self._hello = sign_hello(
            signing, self.name, terms.study_digest, randomness(NONCE_BYTES), self._protection.public_key
        )
        self._earlier_sessions = {record.contribution.session_id for record in journal}
        self._offer: SessionOffer | None = None
        self._session = NO_SESSION
        self._request: SumRequest | None = None
        self._contribution: Contribution | None = None

    @property
    def session_id(self) -> bytes:
        """The id of the open session, empty before ``open``."""
        return self._session.id

    @property
    def sums(self) -> int:
        """Number of the last sum that was answered, 0 before the first."""
        return self._contribution.number if self._contribution else 0

    def hello(self) -> Hello:
        """The site's signed introduction: the same one every time."""
        self._machine.move(SiteEvent.HELLO)
        return self._hello

    def open(self, offer: SessionOffer) -> None:
        """Join the session that the coordinator offers.

        The offer must hold exactly the roster, each Hello under its roster key and for this study, this
        site's own Hello unchanged, and give a session that this site was never in. Raises RefusalError or
        PeerError.
        """
        if offer == self._offer:
            self._machine.move(SiteEvent.SAME_OFFER)
            return
        self._machine.require(SiteEvent.OFFER)
        session = open_offer(self._terms, offer)
        if self._hello not in offer.hellos:
            raise PeerError("the coordinator changed this site's own hello; do not trust this coordinator")
        if session.id in self._earlier_sessions:
            raise PeerError("the coordinator offers a session that this site's journal already holds; start a new one")
        self._protection.join(session, self.name)
        self._offer, self._session = offer, session
        self._machine.move(SiteEvent.OFFER)

    def receive(self, request: SumRequest) -> Contribution | None:
        """Check a question: the contribution already made to this very request, or None for "compute the
        answer".

        Raises RefusalError for fewer participants than the roster or too many sums, PeerError for another
        session, a repeated or skipped number, a second question under one number, and a question while one is
        being answered.
        """
        self._check_request(request)
        session = self._session
        if self._request is not None and request.number == self._request.number:
            if session.context(request) != session.context(self._request):
                raise PeerError(
                    f"the coordinator asks a second, different question under sum {request.number}; a site "
                    "answers each sum once"
                )
            self._machine.move(SiteEvent.SAME_QUESTION)
            return self._contribution if self.sums == request.number else None
        self._check_number(request.number)
        self._machine.move(SiteEvent.QUESTION)
        self._request = request
        return None

    def answer(self, values: Vector, names: Sequence[str]) -> tuple[JournalRecord, Contribution]:
        """Protect the answer, ``values`` with a name each, to the question that ``receive`` let through.

        The driver writes the record to its journal and syncs it to disk first, and sends the contribution
        second: only so can a site that crashed in between never give a second, different answer. Raises
        QuantityError with the name of a value that does not fit, PeerError when the length is not the one
        that was asked for.
        """
        self._machine.require(SiteEvent.ANSWER)
        session, request = self._session, cast(SumRequest, self._request)  # ANSWER only follows QUESTION
        if len(values) + 1 != request.length or len(values) != len(names):
            raise PeerError(
                f"the coordinator asks for {request.length - 1} numbers in sum {request.number}, but its "
                f"question has {len(names)}"
            )
        encoded = ring.encode(np.concatenate([[1.0], values]), (COUNT_SLOT, *names))
        context = session.context(request)
        vector = self._protection.seal(encoded, session, self.name, context)
        contribution = Contribution(session.id, request.number, request.attempt, self.name, vector)
        self._contribution = contribution
        self._machine.move(SiteEvent.ANSWER)
        return JournalRecord(context, contribution), contribution

    def _check_request(self, request: SumRequest) -> None:
        """What must hold for every request, new or repeated."""
        if request.session_id != self._session.id:
            raise PeerError("the coordinator's question belongs to another session; start the session again")
        if request.participants != self._terms.names:
            raise RefusalError(
                f"the coordinator wants a sum over {len(request.participants)} of the roster's "
                f"{len(self._terms.names)} sites; all sites of the roster must take part"
            )
        if request.attempt != 0:
            raise PeerError(f"the coordinator repeats sum {request.number}; a sum without dropouts has one attempt")
        if request.number > self._terms.max_sums:
            raise RefusalError(
                f"the coordinator asks for more than the {self._terms.max_sums} sums that the study allows; "
                "raise max_rounds in the study if the fit needs them"
            )

    def _check_number(self, number: int) -> None:
        last = self._request.number if self._request else 0
        if number <= last:
            raise PeerError(f"the coordinator asks for sum {number} again after sum {last}; a site answers in order")
        if number != last + 1:
            raise PeerError(f"the coordinator skips from sum {last} to sum {number}; a site answers in order")

    def __repr__(self) -> str:
        return f"Site({self.name!r}, {self._machine.state.value!r})"
