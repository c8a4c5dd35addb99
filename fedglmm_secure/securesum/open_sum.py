"""One sum as a site goes through it: which phase it is in, what it has sent, what was relayed to it."""

from __future__ import annotations

from fedglmm_secure.errors import PeerError
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum.messages import JournalRecord, Phase, Relay, SumMessage, SumReply, SumRequest
from fedglmm_secure.securesum.protection import SiteSide, SumView, relayed
from fedglmm_secure.securesum.states import ANSWERING, CLOSING, KEY_PHASES, SiteEvent, phases_of


class OpenSum:
    """A sum in progress. The machine decides what may happen (``site``); this keeps what did."""

    def __init__(self, view: SumView, side: SiteSide) -> None:
        """A sum in its first phase."""
        self.view = view
        self.members = view.request.participants
        self.relays: dict[Phase, Relay] = {}
        self.sent: SumReply | None = None
        self.answered = False
        self._phases = phases_of(view.terms.scheme, view.request.number)
        self._position = 0
        self._members_at_send = self.members
        self._received: SumRequest | Relay = view.request
        self._protected = side.start(view)

    @property
    def number(self) -> int:
        """Which sum it is."""
        return self.view.request.number

    @property
    def phase(self) -> Phase:
        """The phase whose message is being made, or was sent last."""
        return self._phases[self._position]

    @property
    def is_answering(self) -> bool:
        """Whether the phase's message holds the site's answer."""
        return self.phase in ANSWERING

    @property
    def is_last_phase(self) -> bool:
        """Whether nothing is relayed after this phase."""
        return self._position == len(self._phases) - 1

    def event_of(self, relay: Relay) -> SiteEvent:
        """What a new relay is; PeerError when it is not the one that follows what was sent."""
        if relay.phase is not self.phase or self.sent is None or self.is_last_phase:  # (rule 35)
            raise PeerError(
                f"the coordinator relays the messages of {relay.phase.value!r} when this site is at "
                f"{self.phase.value!r} of sum {self.number}; do not trust this coordinator"
            )
        following = self._phases[self._position + 1]
        if following in ANSWERING:
            return SiteEvent.LAST_KEYS
        if following in KEY_PHASES:
            return SiteEvent.KEYS
        return SiteEvent.LAST_RELAY if following is self._phases[-1] else SiteEvent.RELAY

    def take(self, relay: Relay) -> None:
        """Check whose messages of this sum are relayed, that this site's own is there unchanged, and what they say.

        Raises RefusalError for sites that the study does not let be lost, PeerError for anything else; then nothing
        has changed.
        """
        terms, own = self.view.terms, self.view.site
        for part in relay.parts:
            if isinstance(part, SumMessage) and (part.session_id, part.number) != (relay.session_id, relay.number):
                raise PeerError(
                    f"the coordinator relays what site {part.site!r} sent in another sum; do not trust this coordinator"
                )
        sent = self.sent
        if sent is None or relayed(sent, own, self._members_at_send) not in relay.parts:  # (rule 37)
            raise PeerError(
                "the coordinator left out or changed this site's own message; do not trust this coordinator"
            )
        if self.phase in CLOSING:
            if not set(relay.sites) <= set(self.members) or len(relay.sites) < terms.threshold:  # (rule 39)
                raise PeerError(
                    f"the coordinator relays the word of {len(relay.sites)} sites, and {terms.threshold} of those in "
                    "the sum are needed; do not trust this coordinator"
                )
        else:
            terms.check_cohort(self.members, relay.sites, own)  # (rule 38)
        self._protected.absorb(relay.phase, relay.parts)
        if self.phase not in CLOSING:
            self.members = relay.sites
        self.relays[relay.phase] = relay
        self._received, self.sent = relay, None
        self._position += 1

    def make(self) -> JournalRecord:
        """The message of a phase without an answer."""
        return self._keep((self._protected.make(self.phase),))

    def answer(self, encoded: Ring) -> JournalRecord:
        """The message that holds the answer."""
        record = self._keep(self._protected.seal(encoded))
        self.answered = True
        return record

    def restore(self, made: tuple[SumReply, ...]) -> JournalRecord:
        """What was made of the last received message before this site was started again."""
        heads = {(message.session_id, message.number, message.site) for message in made}
        if made[0].phase is not self.phase or heads != {self.view.head}:  # (rule 47)
            raise PeerError("the journal does not follow the order of the protocol; start a new session")
        if self.is_answering:
            self._protected.restore(made)
            self.answered = True
        return self._keep(made)

    def _keep(self, made: tuple[SumReply, ...]) -> JournalRecord:
        self.sent, self._members_at_send = made[0], self.members
        return JournalRecord(self.view.context, self._received, made)
