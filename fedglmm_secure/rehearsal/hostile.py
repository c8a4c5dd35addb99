"""A network that does its worst, in steps of virtual time: the same seed gives the same run, message for message.

As in the programs, a site has one call open at a time: it sends a message, and sends it again when no answer comes. The
coordinator holds a call until it has news for its sender, says "wait" after a while, loses patience with sites that
say nothing for long, and gives up in the end. Between them is the weather (``weather``), and where the caller wants it
a coordinator or a site that lies (``lying_coordinators``, ``lying_sites``).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from fedglmm_secure.errors import FedglmmError, LinkError, RefusalError
from fedglmm_secure.exchange import Conductor
from fedglmm_secure.rehearsal.network import Crashed, Network, SiteAtHand
from fedglmm_secure.rehearsal.weather import Dice, Weather
from fedglmm_secure.securesum import Hello
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.messages import CoordinatorMessage, Finished, Ready, Refusal, SiteMessage, Stopped, Wait

POLL, CALL = 10, 25
"""Steps for which the coordinator holds a call, and after which a site sends its message again."""
LONGEST_DELAY = 60
"""Longer than a call: a message may arrive after the next one of the same site."""
SHORT_ABSENCE, PATIENCE, LONG_ABSENCE, TIMEOUT = 20, 80, 300, 900
"""Away for as long as it takes to start again; quiet for so long that the sum goes on without; and that it ends."""
FAREWELL = 400
"""Steps for which the end is told to those who did not hear it yet."""
MOST_STEPS = 60_000
"""A run that takes longer hangs: 150 disturbances of 300 steps, and some thousand for the fit."""


Said = CoordinatorMessage | bytes
"""A message, or bytes that are none."""


class CoordinatorsTongue(Protocol):
    """What a coordinator says to a site, in place of what an honest one would: None to let the site wait."""

    def says(
        self, site: str, asked: SiteMessage, honest: CoordinatorMessage | None
    ) -> CoordinatorMessage | bytes | None:
        """In answer to what the site sent."""


class SitesTongue(Protocol):
    """What a site sends in place of what an honest one would."""

    def says(self, site: SiteAtHand) -> Sequence[SiteMessage | bytes]:
        """In place of ``site.message``."""


@dataclass(frozen=True)
class Packet:
    """Bytes on their way, within a call of a site; call 0 is nobody's."""

    site: str
    call: int
    data: bytes
    to_site: bool
    is_lie: bool = False


@dataclass
class Line:
    """A site's connection: which call is open, when the site sends again, and until when it is away."""

    call: int = 0
    again_at: float = 0
    back_at: float = 0


class HostileNetwork(Network):
    """Carries bytes between sites and a coordinator as the weather allows."""

    def __init__(
        self,
        conductor: Conductor,
        sites: Mapping[str, SiteAtHand],
        weather: Weather,
        *,
        coordinator: CoordinatorsTongue | None = None,
        liars: Mapping[str, SitesTongue] | None = None,
        flotsam: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        """``coordinator`` and ``liars`` lie; ``flotsam`` is what sites sent in earlier sessions, and may come again."""
        super().__init__(conductor, sites)
        self.dice = Dice(weather)
        self.steps = 0
        self.sent: list[tuple[str, bytes]] = []
        """All that ever left a site, whether or not it arrived."""
        self.early: list[tuple[str, SiteMessage]] = []
        """What left a site before it stood in its journal: nothing, ever."""
        self.lies_heard = 0
        self._coordinator, self._liars = coordinator, liars or {}
        self._lines = {name: Line() for name in sites}
        self._air: list[tuple[int, int, Packet]] = []
        self._carried = 0
        self._held: list[tuple[Packet, SiteMessage, int]] = []
        self._old_requests = list(flotsam)
        self._old_answers: dict[str, list[Packet]] = {name: [] for name in sites}
        self._standing: tuple[object, ...] = ()
        self._quiet_since = self._ended_at = 0

    @property
    def summary(self) -> str:
        """What happened, in words."""
        return self.dice.summary()

    def run(self) -> Finished:
        """Carry messages until the end has been told; raises the error that ended the fit.

        Raises LinkError when it takes so many steps that it would never end.
        """
        while not self._is_over():
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise LinkError(f"the rehearsal did not end within {MOST_STEPS} steps; report this as a fault")
            self._deliver()
            self._answer_held()
            for name in self.dice.shuffled(list(self.sites)):
                self._attend(name)
            self._lose_patience()
        assert self.conductor.end is not None  # noqa: S101  ``_is_over``
        if isinstance(self.conductor.end, Stopped):
            raise self.conductor.end.error
        return self.conductor.end

    def _is_over(self) -> bool:
        if self.conductor.end is None:
            self._ended_at = self.steps
            return False
        told = all(site.end or self._lines[name].back_at == inf for name, site in self.sites.items())
        return told or self.steps > self._ended_at + FAREWELL

    def _carry(self, packet: Packet) -> None:
        """Send bytes on their way, or not."""
        dice = self.dice
        if dice.strikes("lost_answers" if packet.to_site else "lost_requests"):
            return
        if dice.strikes("damaged"):
            self._show_damaged(packet)
            return
        for _ in range(1 + dice.strikes("duplicated")):
            self._fly(packet, dice.number(1, LONGEST_DELAY) if dice.strikes("delayed") else 0)
        if not packet.to_site and self._old_requests and dice.strikes("replayed"):
            name, data = dice.one_of(self._old_requests)
            self._fly(Packet(name, 0, data, to_site=False), dice.number(0, LONGEST_DELAY))
        old = self._old_answers[packet.site] if packet.to_site else []
        if old and dice.strikes("stale"):
            self._fly(Packet(packet.site, packet.call, dice.one_of(old).data, to_site=True, is_lie=True), 0)

    def _fly(self, packet: Packet, delay: int) -> None:
        self._carried += 1
        order = -self._carried if packet.is_lie else self._carried  # an old answer comes before the present one
        heapq.heappush(self._air, (self.steps + 1 + delay, order, packet))

    def _show_damaged(self, packet: Packet) -> None:
        """The parser either makes a message of it or refuses it; it never reaches a party, as TLS would see to."""
        data = self.dice.damage(packet.data)
        try:
            if packet.to_site:
                codec.decode_coordinator(data)
            else:
                codec.decode_site(data)
        except FedglmmError:
            return

    def _deliver(self) -> None:
        while self._air and self._air[0][0] <= self.steps:
            packet = heapq.heappop(self._air)[2]
            if packet.to_site:
                self._reach_site(packet)
            else:
                self._reach_coordinator(packet)

    def _reach_coordinator(self, packet: Packet) -> None:
        self.transcript.append((packet.site, packet.data))
        try:
            message = codec.decode_site(packet.data)
            if message.site != packet.site:  # the site is who its TLS certificate says
                raise RefusalError(f"the message is by site {message.site!r}, the connection by {packet.site!r}")
            self.conductor.take(message)
        except FedglmmError as error:
            self._turn_away(packet, error)
            return
        if packet.call:
            self._held.append((packet, message, self.steps + POLL))
            self._answer(*self._held[-1])

    def _answer_held(self) -> None:
        """Where there is news, tell those who wait for it."""
        standing = self.conductor.end, self.conductor.session_id, self.conductor.missing()
        if standing != self._standing:
            self._standing, self._quiet_since = standing, self.steps
            for held in tuple(self._held):
                self._answer(*held)
        for packet, message, until in tuple(self._held):
            if self.steps >= until:
                self._held.remove((packet, message, until))
                self._reply(packet, Wait())

    def _answer(self, packet: Packet, message: SiteMessage, until: int) -> None:
        """What is following for a call that is held, if anything is."""
        try:
            honest = self.conductor.following(message)
        except FedglmmError as error:
            self._held.remove((packet, message, until))
            self._turn_away(packet, error)
            return
        said = self._coordinator.says(packet.site, message, honest) if self._coordinator else honest
        if said is not None:
            self._held.remove((packet, message, until))
            self._reply(packet, said, is_lie=said is not honest)

    def _turn_away(self, packet: Packet, error: FedglmmError) -> None:
        """What a site's link makes of an error: it tries again after a broken connection, and else ends with it."""
        if packet.call and not isinstance(error, LinkError):
            self._reply(packet, Stopped(error))

    def _reply(self, packet: Packet, answer: Said, *, is_lie: bool = False) -> None:
        data = answer if isinstance(answer, bytes) else codec.encode_coordinator(answer)
        reply = Packet(packet.site, packet.call, data, to_site=True, is_lie=is_lie)
        self._carry(reply)
        if not isinstance(answer, Stopped | Wait):
            self._old_answers[packet.site].append(reply)

    def _reach_site(self, packet: Packet) -> None:
        site, line = self.sites[packet.site], self._lines[packet.site]
        if self.steps < line.back_at or site.end is not None or packet.call != line.call:
            return
        line.call, line.again_at = line.call + 1, self.steps  # that call is over: whatever else comes in it is late
        self.lies_heard += packet.is_lie
        if self.dice.strikes("crashes"):
            site.writes_left = self.dice.number(0, 2)
        try:
            site.take(codec.decode_coordinator(packet.data))
        except Crashed:
            self._crash(packet.site)
        except LinkError as error:
            site.end = Stopped(error)
        except FedglmmError as error:
            self._refuse(site, error)
        else:
            if site.writes_left is not None:
                self._crash(packet.site)

    def _refuse(self, site: SiteAtHand, error: FedglmmError) -> None:
        """Tell the coordinator, once, and end."""
        site.refuse(error)
        site.end = Stopped(error)
        self.sent.append((site.name, codec.encode_site(site.message)))
        self._fly(Packet(site.name, 0, self.sent[-1][1], to_site=False), 0)

    def _crash(self, name: str) -> None:
        """The site is gone, and perhaps comes back."""
        line = self._lines[name]
        line.call += 1
        line.back_at = self.steps + self.dice.number(1, SHORT_ABSENCE)
        if self.dice.strikes("absences"):
            line.back_at = self.steps + self.dice.number(PATIENCE, LONG_ABSENCE)
        if self.dice.strikes("gone"):
            line.back_at = inf
        line.again_at = line.back_at

    def _attend(self, name: str) -> None:
        """Whatever a site does by itself now: come back, or send."""
        site, line = self.sites[name], self._lines[name]
        if site.end is not None or self.steps < line.again_at:
            return
        if line.back_at and line.back_at <= self.steps:
            line.back_at = 0
            site.restart()
        line.call, line.again_at = line.call + 1, self.steps + CALL
        self._held = [held for held in self._held if held[0].site != name]  # its former call is broken off
        liar = self._liars.get(name)
        for message in liar.says(site) if liar else (site.message,):
            data = message if isinstance(message, bytes) else codec.encode_site(message)
            self._note(site, data, message)
            self._carry(Packet(name, line.call, data, to_site=False))
        if self.dice.strikes("crashes"):
            self._crash(name)

    def _note(self, site: SiteAtHand, data: bytes, message: SiteMessage | bytes) -> None:
        self.sent.append((site.name, data))
        self._old_requests.append((site.name, data))
        if isinstance(message, bytes | Hello | Ready | Refusal) or message is not site.message:
            return
        if not any(message in record.made for record in site.journal):
            self.early.append((site.name, message))

    def _lose_patience(self) -> None:
        """Go on without those who say nothing, where that can be; give up in the end."""
        quiet = self.steps - self._quiet_since
        if self.conductor.end is not None or not quiet or quiet % PATIENCE:
            return
        missing = ", ".join(self.conductor.missing())
        try:
            self.conductor.lose()
        except LinkError:
            if quiet >= TIMEOUT:
                self.conductor.stop(LinkError(f"no word from {missing} for {quiet} steps; start those sites"))
