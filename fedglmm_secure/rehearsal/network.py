"""Sites and a coordinator in one process, with every message as bytes between them.

Only the network is missing: sites check, compute, mask, keep a journal and refuse as they do in their own programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fedglmm_secure.errors import FedglmmError, LinkError
from fedglmm_secure.exchange import Conductor, Party
from fedglmm_secure.rehearsal.trail import Trail
from fedglmm_secure.securesum import JournalRecord, Seed, Site
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.messages import CoordinatorMessage, Finished, Refusal, SiteMessage, Stopped, Wait
from fedglmm_secure.wire.records import journal_line, read_journal


class Crashed(Exception):
    """A simulated kill -9 of a site."""


class SiteAtHand:
    """One simulated site, and what a crash leaves of it: its seed and its journal."""

    def __init__(
        self, name: str, seed: Seed, machine: Callable[[Seed], Site], party: Callable[[Site, Keep], Party]
    ) -> None:
        """``machine`` and ``party`` make the site's machine and its side of the fit, now and after each crash."""
        self.name = name
        self.journal: list[JournalRecord] = []
        self._seed, self._make_machine, self._make_party = seed, machine, party
        self.trail = Trail()
        self.machine, self._party = self._fresh()
        self.message: SiteMessage
        """What it sends, until it is answered."""
        self._say(self._party.begin())
        self.end: Finished | Stopped | None = None
        self.writes_left: int | None = None
        """How many records it may still write before it crashes; None: it does not crash."""

    def take(self, answer: CoordinatorMessage) -> None:
        """Take the coordinator's answer; ``message`` is then the next. What this site refuses is raised."""
        self.trail.received(answer)
        if isinstance(answer, Finished | Stopped):
            self.end = answer
            self.trail.note("left")
        else:
            self._say(self._party.reply(answer))

    def refuse(self, error: FedglmmError) -> None:
        """Send the error that ended this site, once, for everybody to hear."""
        self._say(Refusal(self.name, error))

    def restart(self) -> None:
        """Forget all that is in memory, as kill -9 does, and go on from the seed and the journal."""
        self.writes_left = None
        self.machine, self._party = self._fresh()
        self._say(self._party.begin(read_journal(b"".join(map(journal_line, self.journal)), "the journal")))

    def work_ahead(self) -> None:
        """Prepare the next sum."""
        self._party.work_ahead()

    def _say(self, message: SiteMessage) -> None:
        self.message = message
        self.trail.sent(message)

    def _fresh(self) -> tuple[Site, Party]:
        self.trail.note("joined")
        machine = self._make_machine(self._seed)
        return machine, self._make_party(machine, self._write)

    def _write(self, record: JournalRecord) -> None:
        if self.writes_left == 0:
            raise Crashed
        self.journal.append(record)
        if self.writes_left is not None:
            self.writes_left -= 1


Keep = Callable[[JournalRecord], None]


class Network:
    """Carries each message as bytes, at once and in order, and keeps all that reaches the coordinator."""

    def __init__(self, conductor: Conductor, sites: Mapping[str, SiteAtHand]) -> None:
        """Nothing has been sent yet."""
        self.conductor, self.sites = conductor, sites
        self.transcript: list[tuple[str, bytes]] = []
        self._sent: dict[str, SiteMessage] = {}

    def run(self) -> Finished:
        """Carry messages until the end; raises the error that ended the fit, LinkError when nothing moves any more."""
        while self.conductor.end is None:
            moved = [self.step(name) for name in self.sites]
            if not any(moved):
                self.conductor.lose()
        if isinstance(self.conductor.end, Stopped):
            raise self.conductor.end.error
        return self.conductor.end

    def step(self, name: str) -> bool:
        """Carry a site's message to the coordinator, and its answer back; whether anything moved."""
        site, sent = self.sites[name], self.sites[name].message
        moved = self._sent.get(name) != sent
        if moved:
            self._sent[name] = sent
            self.conductor.take(self.to_coordinator(name, sent))
        answer = self.conductor.following(sent)
        if answer is None or isinstance(answer, Wait) or site.end is not None:
            return moved
        try:
            site.take(codec.decode_coordinator(codec.encode_coordinator(answer)))
        except LinkError:
            raise
        except FedglmmError as error:
            site.refuse(error)
            self.conductor.take(self.to_coordinator(name, site.message))
            raise
        return True

    def bytes_sent(self) -> dict[str, int]:
        """Bytes that each site sent."""
        return {name: sum(len(data) for who, data in self.transcript if who == name) for name in self.sites}

    def to_coordinator(self, name: str, message: SiteMessage) -> SiteMessage:
        """A message as it arrives: through its bytes, which are kept."""
        data = codec.encode_site(message)
        self.transcript.append((name, data))
        return codec.decode_site(data)
