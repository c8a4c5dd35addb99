"""The coordinator's machine: it gathers hellos, asks, adds up, and checks that the masks cancelled."""

from __future__ import annotations

import hashlib

from fedglmm_secure import ring
from fedglmm_secure.errors import LinkError, PeerError
from fedglmm_secure.ring import Ring, Vector
from fedglmm_secure.securesum.messages import NONCE_BYTES, Contribution, Hello, SessionOffer, SumRequest
from fedglmm_secure.securesum.protection import Randomness, protection_of
from fedglmm_secure.securesum.session import NO_SESSION, Policy, Terms, check_hello, open_offer
from fedglmm_secure.securesum.states import COORDINATOR, CoordinatorEvent, CoordinatorState, Machine


class Coordinator:
    """One session with all sites of the roster.

    The order of calls is ``receive_hello`` for every site, ``offer``, then for each sum ``begin``,
    ``receive`` for every site, ``total``. A message that comes twice is taken once.
    """

    def __init__(self, terms: Terms) -> None:
        """Check the terms as a site would; RefusalError when the roster is below the study's minimum."""
        Policy(allow_plain=True).check(terms)
        self._terms = terms
        self._protection = protection_of(terms.protocol)
        self._machine = Machine(COORDINATOR, CoordinatorState.GATHERING)
        self._hellos: dict[str, Hello] = {}
        self._offer: SessionOffer | None = None
        self._session = NO_SESSION
        self._request: SumRequest | None = None
        self._vectors: dict[str, Ring] = {}
        self._seen: dict[tuple[int, str], bytes] = {}

    @property
    def session_id(self) -> bytes:
        """The id of the open session, empty before ``offer``."""
        return self._session.id

    def missing(self) -> tuple[str, ...]:
        """The sites that are waited for: their hello before the session, their contribution in a sum."""
        if self._machine.state is CoordinatorState.GATHERING:
            return tuple(name for name in self._terms.names if name not in self._hellos)
        if self._machine.state is CoordinatorState.COLLECTING:
            return tuple(name for name in self._terms.names if name not in self._vectors)
        return ()

    def receive_hello(self, hello: Hello) -> None:
        """Take a site's hello; before the session is open a site that started again replaces its own.

        Raises RefusalError for a stranger or another study, PeerError for a wrong signature, LinkError for a
        site that comes back with new keys after the session opened.
        """
        check_hello(self._terms, hello)
        known = self._hellos.get(hello.site)
        if known is not None and known.nonce == hello.nonce:
            if known != hello:
                raise PeerError(f"site {hello.site!r} uses one nonce for two hellos; start that site again")
            self._machine.move(CoordinatorEvent.SAME_HELLO)
            return
        if self._session is not NO_SESSION:
            raise LinkError(
                f"site {hello.site!r} came back with new keys in the middle of a session, which cannot go on "
                "without its old ones; start the coordinator and all sites again"
            )
        self._machine.move(CoordinatorEvent.HELLO)
        self._hellos[hello.site] = hello

    def offer(self, randomness: Randomness) -> SessionOffer:
        """Open the session once every site said hello: the same offer every time."""
        if self._offer is not None:
            self._machine.move(CoordinatorEvent.SAME_OFFER)
            return self._offer
        if self.missing():
            raise PeerError(f"no session without a hello of {', '.join(self.missing())}; wait for all sites")
        offer = SessionOffer(randomness(NONCE_BYTES), tuple(self._hellos[name] for name in self._terms.names))
        self._session = open_offer(self._terms, offer)
        self._machine.move(CoordinatorEvent.OFFER)
        self._offer = offer
        return offer

    def begin(self, question: bytes, numbers: int) -> SumRequest:
        """Ask all sites the next question; its answer has ``numbers`` numbers, plus the count slot."""
        self._machine.require(CoordinatorEvent.QUESTION)
        number = self._request.number + 1 if self._request else 1
        self._request = SumRequest(self._session.id, number, 0, self._terms.names, question, numbers + 1)
        self._vectors = {}
        self._machine.move(CoordinatorEvent.QUESTION)
        return self._request

    def receive(self, contribution: Contribution) -> None:
        """Take a site's contribution to the current sum; one that came before is checked to be the same.

        Raises PeerError for a stranger, another session, number, attempt or length, and for a second,
        different vector to the same sum.
        """
        site, number = contribution.site, contribution.number
        if site not in self._terms.keys or contribution.session_id != self.session_id:
            raise PeerError(f"a contribution of {site!r} does not belong to this session; start that site again")
        seen = self._seen.get((number, site))
        fingerprint = hashlib.sha256(contribution.vector).digest()
        if seen is not None:
            if seen != fingerprint or contribution.attempt != 0:
                raise PeerError(f"site {site!r} sent two different vectors to sum {number}; start the session again")
            self._machine.move(CoordinatorEvent.SAME_CONTRIBUTION)
            return
        self._machine.require(CoordinatorEvent.CONTRIBUTION)
        if self._request is None or (number, contribution.attempt) != (self._request.number, 0):
            raise PeerError(f"site {site!r} answers sum {number}, which is not the one that was asked")
        vector = ring.from_bytes(contribution.vector, self._request.length)
        self._machine.move(CoordinatorEvent.CONTRIBUTION)
        self._vectors[site] = vector
        self._seen[number, site] = fingerprint

    def total(self) -> Vector:
        """The sum over all sites, without the count slot.

        Raises PeerError while a site is missing, and when the count slot is not exactly the number of sites.
        """
        self._machine.require(CoordinatorEvent.TOTAL)
        if self.missing():
            raise PeerError(f"no sum without the contribution of {', '.join(self.missing())}; wait for all sites")
        sites = len(self._terms.names)
        total = ring.decode_sum(self._protection.combine(self._vectors.values()), sites)
        if total[0] != sites:
            raise PeerError(
                "masks did not cancel: the sum does not count each site once, so the sites did not all "
                "answer the same question in the same session"
            )
        self._machine.move(CoordinatorEvent.TOTAL)
        self._vectors = {}
        return total[1:]

    def __repr__(self) -> str:
        return f"Coordinator({len(self._terms.names)} sites, {self._machine.state.value!r})"
