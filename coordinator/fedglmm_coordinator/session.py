"""One fit: drives the estimator's questions through the secure sums, and says to each site what comes next.

Knows asyncio but no sockets: ``exchange`` takes a decoded message of an authenticated site and returns the
answer, after at most one poll's length.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator

from fedglmm_coordinator.bell import Bell
from fedglmm_secure.errors import FedglmmError, FitError, LinkError, PeerError, RefusalError
from fedglmm_secure.estimate import FitResult
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import Contribution, Coordinator, Hello, Randomness
from fedglmm_secure.study import Study
from fedglmm_secure.wire.limits import POLL_SECONDS
from fedglmm_secure.wire.messages import (
    CoordinatorMessage,
    Finished,
    Next,
    Ready,
    Refusal,
    SiteMessage,
    Stopped,
    Wait,
)
from fedglmm_secure.wire.terms import terms_of

Fit = Generator[Question, Vector, FitResult]


class Session:
    """A fit in progress. ``run`` waits for its end; ``exchange`` moves it."""

    def __init__(
        self,
        study: Study,
        fit: Fit,
        *,
        randomness: Randomness,
        keep: Callable[[FitResult, Counter[str]], str],
        say: Callable[[str], None],
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """``keep`` stores the result, given the bytes each site sent, and returns it as the sites get it."""
        self._layout = study.layout
        self._fit = fit
        self._randomness = randomness
        self._keep = keep
        self._say = say
        self._poll_seconds = poll_seconds
        self._coordinator = Coordinator(terms_of(study))
        self._next: Next | None = None
        self._end: Finished | Stopped | None = None
        self._told: set[str] = set()
        self._said: set[str] = set()
        self._bytes: Counter[str] = Counter({site.name: 0 for site in study.sites})
        self._news = Bell()

    def count(self, site: str, size: int) -> None:
        """Add to the bytes that ``site`` sent."""
        self._bytes[site] += size

    async def exchange(self, message: SiteMessage) -> CoordinatorMessage:
        """Take a message and wait for what the site must do next.

        A message that does not belong to this session raises its error to the sender alone; a contribution
        that breaks the session stops it for everybody.
        """
        if self._end is None:
            try:
                self._take(message)
            except FedglmmError as error:
                self._say_once(f"turned away: {message.site}: {error}")
                raise
        return await self._answer(message)

    def stop(self, error: FedglmmError) -> None:
        """End the session without a result; every site is told why."""
        if self._end is None:
            self._end = Stopped(error)
            self._news.ring()

    async def run(self, timeout: float) -> Finished | Stopped:
        """Wait for the end; ``timeout`` seconds without progress stop the session, naming absent sites."""
        while self._end is None:
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError:
                absent = ", ".join(self._coordinator.missing())
                self.stop(
                    LinkError(f"no word from {absent} for {timeout:g} seconds; start those sites, or raise --timeout")
                )
        return self._end

    async def wait_until_told(self, seconds: float) -> None:
        """Wait until every site that is not absent has collected the end, at most ``seconds``."""
        expected = set(self._bytes)
        if isinstance(self._end, Stopped):
            expected -= set(self._coordinator.missing())
        try:
            async with asyncio.timeout(seconds):
                while not expected <= self._told:
                    await self._news.wait()
        except TimeoutError:
            self._say(f"could not tell the end to: {', '.join(sorted(expected - self._told))}")

    def _say_once(self, line: str) -> None:
        """A site that tries again and again is reported once."""
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    def _take(self, message: SiteMessage) -> None:
        match message:
            case Hello():
                self._take_hello(message)
            case Contribution():
                self._require_session(message.session_id)
                self._take_contribution(message)
            case Ready():
                self._require_session(message.session_id)
            case Refusal():
                self.stop(_as_told(message))

    def _take_hello(self, hello: Hello) -> None:
        before = self._coordinator.missing()
        self._coordinator.receive_hello(hello)
        missing = self._coordinator.missing()
        if hello.site in before:
            self._say(f"connected: {hello.site}" + (f"; waiting for {', '.join(missing)}" if missing else ""))
            self._news.ring()
        if self._next is None and not missing:
            self._advance(None)

    def _take_contribution(self, contribution: Contribution) -> None:
        waited_for = self._coordinator.missing()
        try:
            self._coordinator.receive(contribution)
            if waited_for and not self._coordinator.missing():
                self._advance(self._coordinator.total())
        except FedglmmError as error:
            self.stop(error)
        self._news.ring()

    def _require_session(self, session_id: bytes) -> None:
        if session_id != self._coordinator.session_id:
            raise PeerError("the coordinator was started again and its session is another; start this site again")

    def _advance(self, total: Vector | None) -> None:
        """Send the estimator the last sum, and ask its next question."""
        try:
            question = next(self._fit) if total is None else self._fit.send(total)
            self._ask(question)
        except StopIteration as end:
            self._end = Finished(self._keep(end.value, self._bytes))
        except FedglmmError as error:
            self.stop(error)
        except Exception as error:  # the sites must hear of it, whatever it is
            failure = FedglmmError(f"the coordinator failed ({type(error).__name__}); run it with --debug")
            failure.__cause__ = error
            self.stop(failure)
        self._news.ring()

    def _ask(self, question: Question) -> None:
        offer = self._coordinator.offer(self._randomness)
        numbers = len(question.slots(self._layout))
        request = self._coordinator.begin(questions.encode(question), numbers)
        self._next = Next(offer if request.number == 1 else None, request, question)

    async def _answer(self, message: SiteMessage) -> CoordinatorMessage:
        done = _last_sum(message)
        try:
            async with asyncio.timeout(self._poll_seconds):
                while self._end is None and (self._next is None or self._next.request.number <= done):
                    await self._news.wait()
        except TimeoutError:
            return Wait()
        if self._end is not None:
            self._told.add(message.site)
            self._news.ring()
            return self._end
        return self._next or Wait()


def _last_sum(message: SiteMessage) -> int:
    match message:
        case Contribution():
            return message.number
        case Ready():
            return message.last_sum
        case _:
            return 0


def _as_told(refusal: Refusal) -> FedglmmError:
    """What everybody hears: that a site was stopped, has no answer or saw a breach; else a refusal."""
    sentence = f"site {refusal.site} refused: {refusal.error}"
    for kind in (LinkError, FitError, PeerError):
        if isinstance(refusal.error, kind):
            return kind(sentence)
    return RefusalError(sentence)
