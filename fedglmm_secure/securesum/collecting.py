"""One sum as the coordinator goes through it: whose messages it has, and whom it waits for."""

from __future__ import annotations

from collections.abc import Mapping

from fedglmm_secure.errors import LinkError, PeerError, RefusalError
from fedglmm_secure.securesum.messages import Phase, Relay, SumReply, SumRequest
from fedglmm_secure.securesum.protection import Collected, relayed
from fedglmm_secure.securesum.session import EXCLUDE, Session, Terms
from fedglmm_secure.securesum.states import CLOSING, phases_of


class CollectingSum:
    """A sum in progress. The machine decides what may happen (``coordinator``); this keeps what did."""

    def __init__(self, terms: Terms, session: Session, request: SumRequest, keys: Mapping[str, SumReply]) -> None:
        """A sum in its first phase; ``keys`` are the advertisements of its batch, if that began before."""
        self.request = request
        self.phases = phases_of(terms.scheme, request.number)
        self.members = request.participants
        self._terms, self._session, self._keys = terms, session, keys
        self._position = 0
        self._messages: dict[Phase, dict[str, SumReply]] = {self.phase: {}}
        self._expected: dict[Phase, tuple[str, ...]] = {self.phase: self.members}

    @property
    def phase(self) -> Phase:
        """The phase whose messages are being collected."""
        return self.phases[self._position]

    @property
    def is_last_phase(self) -> bool:
        """Whether the sum can be opened after this phase."""
        return self._position == len(self.phases) - 1

    @property
    def missing(self) -> tuple[str, ...]:
        """Who has not sent the message of this phase."""
        return tuple(name for name in self._expected[self.phase] if name not in self._messages[self.phase])

    @property
    def collected(self) -> Collected:
        """All that came in so far, for the protocol."""
        keys = self._messages.get(Phase.ADVERTISE, self._keys)
        return Collected(self._terms, self._session, self.request, self._messages, self._expected, keys)

    def is_late(self, message: SumReply) -> bool:
        """Whether the message is of a phase that is over, or of a site that is not waited for any more."""
        return message.phase in self.phases[: self._position] or message.site not in self._expected[self.phase]

    def keep(self, message: SumReply) -> None:
        """Keep a message of this phase; PeerError for one of another phase."""
        if message.phase is not self.phase:
            raise PeerError(
                f"site {message.site!r} sent {message.phase.value!r} when sum {self.request.number} is at "
                f"{self.phase.value!r}; start the session again"
            )
        self._messages[self.phase][message.site] = message

    def check_loss(self) -> None:
        """Raise LinkError unless the sum can go on without those who are missing now."""
        missing, here = self.missing, tuple(sorted(self._messages[self.phase]))
        names = ", ".join(missing)
        if self.phase in CLOSING:
            if len(here) < self._terms.threshold:
                raise LinkError(f"sum {self.request.number} cannot be opened without {names}; start those sites again")
            return
        if self._terms.on_dropout != EXCLUDE:
            raise LinkError(f"no word from {names}; start those sites again")
        try:
            self._terms.check_cohort(self.members, here, here[0] if here else "")
        except RefusalError as error:
            raise LinkError(f"no word from {names}, which are more than the study lets be lost: {error}") from error

    def close_phase(self) -> None:
        """Go on to the next phase with those who are here."""
        here = tuple(sorted(self._messages[self.phase]))
        if self.phase not in CLOSING:
            self.members = here
        self._position += 1
        self._messages[self.phase], self._expected[self.phase] = {}, here

    def closed(self) -> dict[Phase, tuple[SumReply, ...]]:
        """The messages of the phases that are over, in order."""
        return {
            phase: tuple(sent for _, sent in sorted(self._messages[phase].items()))
            for phase in self.phases[: self._position]
        }

    def settle(self) -> None:
        """End the last phase with those who are here."""
        if self.phase not in CLOSING:
            self.members = tuple(sorted(self._messages[self.phase]))

    def relay(self, phase: Phase, recipient: str) -> Relay | None:
        """What ``recipient`` gets after ``phase``: None while it is not complete, or when it is long over."""
        if self._position == 0 or self.phases[self._position - 1] is not phase:
            return None
        if recipient not in self._expected[self.phase]:
            return None
        sent, members = self._messages[phase], self._expected[phase]
        parts = tuple(relayed(sent[name], recipient, members) for name in sorted(sent))
        return Relay(self._session.id, self.request.number, phase, parts)
