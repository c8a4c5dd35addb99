"""One fit over a network: polls, patience, and waking everybody when there is news.

Knows asyncio but no sockets: ``exchange`` takes a decoded message of an authenticated site and returns the
answer, after at most one poll's length. What is answered is the conductor's (``fedglmm_secure.exchange``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

from fedglmm_coordinator.bell import Bell
from fedglmm_secure.errors import FedglmmError, LinkError
from fedglmm_secure.exchange import Conductor
from fedglmm_secure.wire.limits import POLL_SECONDS
from fedglmm_secure.wire.messages import CoordinatorMessage, Finished, Ready, SiteMessage, Stopped, Wait

NOTICE_SECONDS = 3.0
"""How long sites take to collect the end when nothing is wrong; after that the operator is told who has not."""


class Session:
    """A fit in progress. ``run`` waits for its end; ``exchange`` moves it."""

    def __init__(
        self,
        conductor: Conductor,
        sites: Iterable[str],
        *,
        say: Callable[[str], None],
        poll_seconds: float = POLL_SECONDS,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """``sites`` is the roster; ``say`` tells the operator; ``now`` is the time of day."""
        self._conductor = conductor
        self._say = say
        self._poll_seconds = poll_seconds
        self._told: set[str] = set()
        self._said: set[str] = set()
        self._bytes: Counter[str] = Counter(dict.fromkeys(sites, 0))
        self._now = now
        self._heard: dict[str, datetime] = {}
        self._leaving = False
        self._fault: Exception | None = None
        self._news = Bell()

    @property
    def bytes_sent(self) -> Counter[str]:
        """The bytes that each site sent."""
        return self._bytes

    def count_all(self, sent: Counter[str]) -> None:
        """Add what the sites sent to an earlier process."""
        self._bytes.update(sent)

    def count(self, site: str, size: int) -> None:
        """Add to the bytes that ``site`` sent."""
        self._bytes[site] += size

    async def exchange(self, message: SiteMessage) -> CoordinatorMessage:
        """Take a message and wait for what the site must do next.

        A message that does not belong to this session raises its error to the sender alone; a contribution
        that breaks the session stops it for everybody.
        """
        self._heard[message.site] = self._now()
        before = self._standing()
        try:
            if not self._is_breaking_off:
                self._conductor.take(message)
            if self._standing() != before:
                self._news.ring()
            return await self._following(message)
        except FedglmmError as error:
            self._say_once(f"turned away: {message.site}: {error}")
            raise

    def leave(self) -> None:
        """Answer whoever waits, as this program is about to end: sites then come back until another one answers."""
        self._leaving = True
        self._news.ring()

    def stop(self, error: FedglmmError) -> None:
        """End the session without a result; every site is told why."""
        self._conductor.stop(error)
        self._news.ring()

    def fail(self, fault: Exception) -> None:
        """End this program, but not the session: ``run`` raises ``fault``, and sites come back to the next program.

        Where the fit has ended already, the operator hears why a site cannot be told.
        """
        self._fault = fault
        if self._conductor.end is not None:
            with contextlib.suppress(OSError):  # the log may be what cannot be written
                self._say_once(f"a site that asks for the end cannot be answered: {fault}")
        self.leave()

    async def run(self, timeout: float, patience: float) -> Finished | Stopped:
        """Wait for the end.

        After ``patience`` seconds without progress the sum goes on without those who are missing, where that can be;
        after ``timeout`` seconds the session stops, naming them. Raises what ``fail`` was given.
        """
        waited = 0.0
        while self._conductor.end is None:
            if self._fault is not None:
                raise self._fault
            pause = min(patience, timeout - waited)
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
                waited = 0.0
            except TimeoutError:
                waited += pause
                if not self._go_on_without_missing() and waited >= timeout:
                    self._give_up(timeout)
        return self._conductor.end

    async def wait_until_told(self, seconds: float) -> None:
        """Wait until every site that takes part and is not absent knows the end, at most ``seconds``.

        An answer can be lost on its way. That the result arrived is known when its site has said its last word.
        """
        expected = set(self._conductor.cohort)
        if isinstance(self._conductor.end, Stopped):
            expected -= set(self._conductor.missing())
        with contextlib.suppress(asyncio.CancelledError):  # the operator need not wait
            if await self._all_told(expected, min(seconds, NOTICE_SECONDS)):
                return
            self._say(f"waiting up to {seconds:g} seconds for {self._untold(expected)} to hear the end; Ctrl-C ends it")
            if await self._all_told(expected, seconds - NOTICE_SECONDS):
                return
        self._say(
            f"no word that the end arrived from: {self._untold(expected)}; for a site that still waits, run the same "
            "command again"
        )

    async def _all_told(self, expected: set[str], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not expected <= self._told:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _untold(self, expected: set[str]) -> str:
        return ", ".join(sorted(expected - self._told))

    def _standing(self) -> tuple[object, ...]:
        """What others wait for a change of."""
        conductor = self._conductor
        return conductor.end, conductor.session_id, conductor.missing()

    def _go_on_without_missing(self) -> bool:
        try:
            lost = self._conductor.lose()
        except LinkError as error:
            self._say_once(f"waiting for {self._absent()}: {error}")
            return False
        self._say(f"goes on without the word of {', '.join(lost)}")
        self._news.ring()
        return True

    def _give_up(self, timeout: float) -> None:
        absent = ", ".join(self._conductor.missing())
        self._say(f"giving up: waiting for {self._absent()}")
        self.stop(
            LinkError(
                f"no word from {absent} for {timeout:g} seconds; start those sites and then the coordinator again, "
                "which goes on where it was, or raise --timeout"
            )
        )

    def _absent(self) -> str:
        """Who is waited for, and since when nothing was heard."""
        heard = {name: self._heard.get(name) for name in self._conductor.missing()}
        return ", ".join(
            f"{name} (last heard {at:%H:%M:%S})" if at else f"{name} (not heard yet)" for name, at in heard.items()
        )

    def _say_once(self, line: str) -> None:
        """A site that tries again and again is reported once."""
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    @property
    def _is_breaking_off(self) -> bool:
        """Whether this program ends before the fit: what it holds may not be in the store, and must not be used."""
        return self._leaving and self._conductor.end is None

    def _answer(self, message: SiteMessage) -> CoordinatorMessage | None:
        return Wait() if self._is_breaking_off else self._conductor.following(message)

    async def _following(self, message: SiteMessage) -> CoordinatorMessage:
        try:
            async with asyncio.timeout(self._poll_seconds):
                while (answer := self._answer(message)) is None:
                    await self._news.wait()
        except TimeoutError:
            return Wait()
        if isinstance(answer, Stopped) or (isinstance(answer, Finished) and _has_result(message)):
            self._told.add(message.site)
            self._news.ring()
        return answer


def _has_result(message: SiteMessage) -> bool:
    """Whether a site says that the result arrived. What is sent again because its answer was lost does not."""
    return isinstance(message, Ready) and message.phase is None
