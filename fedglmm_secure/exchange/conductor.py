"""The coordinator's side of one fit: drives the estimator's questions through the secure sums."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import cast

from fedglmm_secure.errors import FedglmmError, FitError, LinkError, PeerError, RefusalError
from fedglmm_secure.estimate import FitResult
from fedglmm_secure.exchange.ledger import Ledger, NoLedger, Opened, Standing
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import Coordinator, Hello, Phase, Randomness, SumReply, SumRequest
from fedglmm_secure.study import Study
from fedglmm_secure.wire.messages import (
    CoordinatorMessage,
    Finished,
    Next,
    Ready,
    Refusal,
    SayHello,
    SendAgain,
    SiteMessage,
    Stopped,
)
from fedglmm_secure.wire.terms import terms_of

Fit = Generator[Question, Vector, FitResult]
NO_LEDGER = NoLedger()


class Conductor:
    """A fit in progress: ``take`` each message, then say what is ``following`` for its sender, until the ``end``."""

    def __init__(
        self,
        study: Study,
        fit: Callable[[], Fit],
        *,
        randomness: Randomness,
        keep: Callable[[FitResult], str],
        ledger: Ledger = NO_LEDGER,
        say: Callable[[str], None] = lambda _: None,
        machine: Coordinator | None = None,
    ) -> None:
        """``fit`` starts the estimator, anew for each cohort; ``keep`` stores its result and returns it as JSON.

        ``ledger`` keeps what ``resume`` needs; ``machine`` is a fresh one, by default that of the study's terms.
        """
        self._layout = study.layout
        self._start, self._fit = fit, fit()
        self._randomness, self._keep, self._ledger, self._say = randomness, keep, ledger, say
        self._coordinator = machine or Coordinator(terms_of(study))
        self._excluded: tuple[str, ...] = ()
        self._sums_before = 0
        self._question: Question | None = None
        self._request: SumRequest | None = None
        self.end: Finished | Stopped | None = None
        """How the fit ended, None until then."""

    @property
    def session_id(self) -> bytes:
        """The id of the open session, empty before all sites said hello."""
        return self._coordinator.session_id

    @property
    def cohort(self) -> tuple[str, ...]:
        """The sites that take part: the whole roster, unless some were left out."""
        return self._coordinator.cohort

    def missing(self) -> tuple[str, ...]:
        """The sites that are waited for."""
        return self._coordinator.missing()

    def resume(self, standing: Standing) -> None:
        """Go on where the ledger says that an earlier process was; FitError when the sums lead elsewhere now."""
        self._question = next(self._fit)
        for number, opened in enumerate(standing.sums, 1):
            if questions.encode(self._question) != opened.question:
                raise FitError(
                    f"the stored sum {number} answers another question than this version would ask; go on with the "
                    "version that began the fit, or begin again with another --store"
                )
            self._use(number, opened)
            if self.end is not None:
                return
        done = len(standing.sums)
        cohort = standing.sums[-1].cohort if standing.sums else self._coordinator.cohort
        self._coordinator.resume(standing.offer, done, cohort, {message.site: message for message in standing.keys})
        self._ask()
        for phase in standing.phases:
            for message in phase:
                self._coordinator.receive(message)
            if phase[0].phase not in self._coordinator.closed():
                self._coordinator.lose()

    def take(self, message: SiteMessage) -> None:
        """Take a message. One that does not belong here raises its error, which concerns its sender alone.

        A message of this session that breaks it, and any Refusal, ends the fit for everybody.
        """
        if self.end is not None:
            return
        match message:
            case Hello():
                self._take_hello(message)
            case Ready():
                pass  # ``following`` tells it where the session is
            case Refusal():
                self.stop(_as_told(message))
            case _ if message.session_id == self.session_id:
                self._take_reply(message)

    def following(self, message: SiteMessage) -> CoordinatorMessage | None:
        """What the sender of ``message`` must do next; None while it must wait.

        Raises LinkError for a site that was left out, PeerError for one that is not where the session can be.
        """
        if self.end is not None:
            return self.end
        if isinstance(message, Hello):
            return self._following(0, None, message.site, with_offer=True)
        if isinstance(message, Refusal):
            return None
        if message.session_id != self.session_id:
            return SayHello()
        place = _place(message)
        if self._coordinator.lacks(*place, message.site):
            return SendAgain()
        return self._following(*place, message.site, with_offer=False)

    def lose(self) -> tuple[str, ...]:
        """Go on without the sites that are waited for, which are returned; LinkError when that cannot be."""
        before = self._coordinator.closed()
        lost = self._coordinator.lose()
        self._go_on(before)
        return lost

    def stop(self, error: FedglmmError) -> None:
        """End the fit without a result; every site is told why."""
        if self.end is None:
            self.end = Stopped(error)

    def _following(self, number: int, phase: Phase | None, site: str, *, with_offer: bool) -> CoordinatorMessage | None:
        received = self._coordinator.following(number, phase, site)
        if isinstance(received, SumRequest) and self._question is not None:
            return Next(self._coordinator.offer(self._randomness) if with_offer else None, received, self._question)
        return received if not isinstance(received, SumRequest) else None

    def _take_hello(self, hello: Hello) -> None:
        before = self._coordinator.missing()
        self._coordinator.receive_hello(hello)
        missing = self._coordinator.missing()
        if hello.site in before and not self.session_id:
            self._say(f"connected: {hello.site}" + (f"; waiting for {', '.join(missing)}" if missing else ""))
        if not self.session_id and not missing:
            self._guarded(self._open_session)

    def _take_reply(self, message: SumReply) -> None:
        before = self._coordinator.closed()
        try:
            self._coordinator.receive(message)
        except FedglmmError as error:
            self.stop(error)
        self._go_on(before)

    def _go_on(self, before: Mapping[Phase, object]) -> None:
        """Keep a phase that was closed just now, and use a sum that is complete."""
        if self.end is not None:
            return
        for phase, messages in self._coordinator.closed().items():
            if phase not in before and self._request is not None:
                self._ledger.closed_phase(self._request.number, phase, messages)
        if self._coordinator.is_complete:
            self._guarded(self._advance)

    def _open_session(self) -> None:
        self._ledger.opened_session(self._coordinator.offer(self._randomness))
        self._question = next(self._fit)
        self._ask()

    def _advance(self) -> None:
        """Open the sum, and ask the next question."""
        total, request = self._coordinator.total(), cast("SumRequest", self._request)
        opened = Opened(request.question, request.participants, self._coordinator.cohort, total)
        self._ledger.opened_sum(request.number, opened)
        self._use(request.number, opened)
        if self.end is None:
            self._ask()

    def _use(self, number: int, opened: Opened) -> None:
        """Send the estimator a sum; start over where the cohort has become smaller."""
        if opened.cohort != opened.participants:
            lost = tuple(sorted(set(opened.participants) - set(opened.cohort)))
            self._excluded, self._sums_before = (*self._excluded, *lost), number
            self._say(f"left out: {', '.join(lost)}; the fit begins again over the other sites")
            self._fit = self._start()
            self._question = next(self._fit)
            return
        try:
            self._question = self._fit.send(opened.total)
        except StopIteration as end:
            result: FitResult = end.value
            excluded = tuple(sorted(self._excluded))
            self.end = Finished(self._keep(result.without(excluded, self._sums_before) if excluded else result))

    def _ask(self) -> None:
        question = cast("Question", self._question)
        numbers = len(question.slots(self._layout))
        self._request = self._coordinator.begin(questions.encode(question), numbers)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do it; whatever ends the fit is kept as its end, for the sites must hear of it.

        That something could not be written ends nothing: with room on its disk, the coordinator goes on.
        """
        try:
            action()
        except FedglmmError as error:
            self.stop(error)
        except OSError:
            raise
        except Exception as error:
            failure = FedglmmError(f"the coordinator failed ({type(error).__name__}); run it with --debug")
            failure.__cause__ = error
            self.stop(failure)


def _place(message: SumReply | Ready) -> tuple[int, Phase | None]:
    """Number and phase of the last message that a site made."""
    if isinstance(message, Ready):
        return message.last_sum, message.phase
    return message.number, message.phase


def _as_told(refusal: Refusal) -> FedglmmError:
    """What everybody hears: that a site was stopped, has no answer or saw a breach; else a refusal."""
    sentence = f"site {refusal.site} refused: {refusal.error}"
    for kind in (LinkError, FitError, PeerError):
        if isinstance(refusal.error, kind):
            return kind(sentence)
    return RefusalError(sentence)
