"""The coordinator's machine: it gathers hellos, asks, relays, adds up, and checks that the masks cancelled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields

from fedglmm_secure import canonical, ring
from fedglmm_secure.errors import LinkError, PeerError
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum.collecting import CollectingSum
from fedglmm_secure.securesum.messages import NONCE_BYTES, Hello, Phase, Relay, SessionOffer, SumReply, SumRequest
from fedglmm_secure.securesum.protection import Randomness
from fedglmm_secure.securesum.protocols import protection_of
from fedglmm_secure.securesum.session import NO_SESSION, Policy, Terms, check_hello, open_offer
from fedglmm_secure.securesum.states import COORDINATOR, CoordinatorEvent, CoordinatorState, Machine


class Coordinator:
    """One session with all sites of the roster.

    The order of calls is ``receive_hello`` for every site, ``offer``, then for each sum ``begin``, ``receive`` for
    every site in every phase, ``total``. A message that comes twice is taken once. ``following`` says what a site
    must get next.
    """

    def __init__(self, terms: Terms) -> None:
        """Check the terms as a site would; RefusalError when the roster is below the study's minimum."""
        Policy(allow_plain=True).check(terms)
        self._terms = terms
        self._protection = protection_of(terms.scheme)
        self._machine = Machine(COORDINATOR, CoordinatorState.GATHERING)
        self._hellos: dict[str, Hello] = {}
        self._offer: SessionOffer | None = None
        self._session = NO_SESSION
        self._sum: CollectingSum | None = None
        self._cohort = terms.names
        self._done = 0
        self._keys: Mapping[str, SumReply] = {}
        self._seen: dict[tuple[int, Phase, str], bytes] = {}
        """The digest of each message: the messages themselves are forgotten with their sum."""

    @property
    def session_id(self) -> bytes:
        """The id of the open session, empty before ``offer``."""
        return self._session.id

    @property
    def cohort(self) -> tuple[str, ...]:
        """The sites that take part: the whole roster, unless some were left out."""
        return self._sum.members if self._sum else self._cohort

    @property
    def is_complete(self) -> bool:
        """Whether the present sum can be opened: then ``total``."""
        return self._machine.state is CoordinatorState.COMPLETE

    def missing(self) -> tuple[str, ...]:
        """The sites that are waited for: their hello before the session, their message in a phase of a sum."""
        if self._machine.state is CoordinatorState.GATHERING:
            return tuple(name for name in self._terms.names if name not in self._hellos)
        if self._machine.state is CoordinatorState.COLLECTING and self._sum is not None:
            return self._sum.missing
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
                f"site {hello.site!r} came back without the keys of this session, which cannot go on "
                "without them; start that site with the --out folder and the table it had, or start the session again"
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
        hellos = tuple(self._hellos[name] for name in self._terms.names)
        return self.reopen(SessionOffer(randomness(NONCE_BYTES), hellos))

    def reopen(self, offer: SessionOffer) -> SessionOffer:
        """Open the session of an offer that this coordinator made, now or before it was started again."""
        self._session = open_offer(self._terms, offer)
        self._machine.move(CoordinatorEvent.OFFER)
        self._offer, self._hellos = offer, {hello.site: hello for hello in offer.hellos}
        return offer

    def resume(self, offer: SessionOffer, done: int, cohort: tuple[str, ...], keys: Mapping[str, SumReply]) -> None:
        """Go on, in a new process, in the session of ``offer``, of which ``done`` sums were opened.

        ``keys`` are the advertisements of the batch that the next sum belongs to, empty when it begins one.
        """
        self.reopen(offer)
        self._done, self._cohort, self._keys = done, cohort, keys

    def begin(self, question: bytes, numbers: int) -> SumRequest:
        """Ask all sites the next question; its answer has ``numbers`` numbers, plus the count slot."""
        self._machine.require(CoordinatorEvent.QUESTION)
        number = self._done + 1
        request = SumRequest(self._session.id, number, self.cohort, question, numbers + 1)
        self._sum = CollectingSum(self._terms, self._session, request, self._keys)
        self._machine.move(CoordinatorEvent.QUESTION)
        return request

    def receive(self, message: SumReply) -> None:
        """Take a site's message of the present phase; one that came before is checked to be the same.

        Raises PeerError for a stranger, another session, number or phase, a message that the protocol cannot use,
        and a second, different message in one place.
        """
        site = message.site
        if site not in self._terms.keys or message.session_id != self.session_id:
            raise PeerError(f"a message of {site!r} does not belong to this session; start that site again")
        place = (message.number, message.phase, site)
        if place in self._seen:
            if self._seen[place] != _digest(message):
                raise PeerError(f"site {site!r} sent two different messages to sum {message.number}; do not trust it")
            self._machine.move(CoordinatorEvent.SAME_MESSAGE)
            return
        current = self._sum
        if current is None or message.number > current.request.number:
            raise PeerError(f"site {site!r} answers sum {message.number}, which was not asked")
        if message.number < current.request.number or current.is_late(message):
            self._machine.move(CoordinatorEvent.LATE_MESSAGE)
            return
        self._machine.require(CoordinatorEvent.MESSAGE)
        self._protection.check(current.collected, message)
        current.keep(message)
        self._seen[place] = _digest(message)
        self._machine.move(CoordinatorEvent.MESSAGE)
        if not current.missing:
            self._close(current)

    def lose(self) -> tuple[str, ...]:
        """Go on without the sites that are missing now, which are returned.

        Raises LinkError, naming them, when the sum cannot be opened without them or the study does not allow it.
        """
        current = self._sum
        if current is None or self._machine.state is not CoordinatorState.COLLECTING:
            raise LinkError(f"no word from {', '.join(self.missing())}; start those sites")
        missing = current.missing
        current.check_loss()
        self._close(current)
        return missing

    def following(self, number: int, phase: Phase | None, site: str) -> SumRequest | Relay | None:
        """What ``site`` gets next, whose last message was ``phase`` of sum ``number``; None while it must wait.

        Raises PeerError when the site has not seen sums that it took part in, or has seen others; LinkError when it
        was left out.
        """
        current = self._sum
        if current is None:
            return None
        if site not in current.request.participants:
            raise LinkError(
                f"sum {current.request.number} began without site {site}, which had not answered in time; the fit goes "
                "on without it"
            )
        if number == current.request.number and phase is not None:
            return current.relay(phase, site)
        if number == current.request.number - 1:
            return current.request
        raise PeerError(
            f"site {site!r} is at sum {number} when the session is at sum {current.request.number}; if its folder was "
            "restored from a backup, start a new session"
        )

    def lacks(self, number: int, phase: Phase | None, site: str) -> bool:
        """Whether ``site`` says that it sent ``phase`` of the present sum, and this coordinator waits for it still."""
        current = self._sum
        return (
            current is not None
            and (number, phase) == (current.request.number, current.phase)
            and site in self.missing()
        )

    def closed(self) -> Mapping[Phase, tuple[SumReply, ...]]:
        """The messages of the present sum whose phases are over, in order: what a store must hold to go on from."""
        return self._sum.closed() if self._sum else {}

    def total(self) -> Vector:
        """The sum over the cohort, without the count slot.

        Raises PeerError while a site is missing, and when the count slot is not exactly the number of sites.
        """
        if self.missing() or self._sum is None:
            raise PeerError(f"no sum without the word of {', '.join(self.missing())}; wait for all sites")
        self._machine.require(CoordinatorEvent.TOTAL)
        sites = len(self.cohort)
        total = ring.decode_sum(self._protection.total(self._sum.collected), sites)
        if total[0] != sites:
            raise PeerError(
                "masks did not cancel: the sum does not count each site once, so the sites did not all "
                "answer the same question in the same session"
            )
        self._machine.move(CoordinatorEvent.TOTAL)
        self._keys, self._done = self._sum.collected.keys, self._sum.request.number
        return total[1:]

    def _close(self, current: CollectingSum) -> None:
        if current.is_last_phase:
            current.settle()
            self._machine.move(CoordinatorEvent.LAST_PHASE)
        else:
            current.close_phase()
            self._machine.move(CoordinatorEvent.PHASE)

    def __repr__(self) -> str:
        return f"Coordinator({len(self._terms.names)} sites, {self._machine.state.value!r})"


def _digest(message: SumReply) -> bytes:
    return hashlib.sha256(canonical.encode([getattr(message, field.name) for field in fields(message)])).digest()
