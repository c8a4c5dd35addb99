"""The coordinator's side of one fit: drives the estimator's questions through the secure sums."""

from __future__ import annotations

from collections.abc import Callable, Generator

from fedglmm_secure.errors import FedglmmError, FitError, LinkError, PeerError, RefusalError
from fedglmm_secure.estimate import FitResult
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
    SiteMessage,
    Stopped,
)
from fedglmm_secure.wire.terms import terms_of

Fit = Generator[Question, Vector, FitResult]


class Conductor:
    """A fit in progress: ``take`` each message, then say what is ``following`` for its sender, until the ``end``."""

    def __init__(
        self,
        study: Study,
        fit: Callable[[], Fit],
        *,
        randomness: Randomness,
        keep: Callable[[FitResult], str],
        say: Callable[[str], None] = lambda _: None,
        machine: Coordinator | None = None,
    ) -> None:
        """``fit`` starts the estimator, anew for each cohort; ``keep`` stores its result and returns it as JSON.

        ``machine`` is a fresh one, by default that of the study's terms.
        """
        self._layout = study.layout
        self._start, self._fit = fit, fit()
        self._randomness, self._keep, self._say = randomness, keep, say
        self._coordinator = machine or Coordinator(terms_of(study))
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
        return self._following(*_place(message), message.site, with_offer=False)

    def lose(self) -> tuple[str, ...]:
        """Go on without the sites that are waited for, which are returned; LinkError when that cannot be."""
        lost = self._coordinator.lose()
        self._advance_if_complete()
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
            self._coordinator.offer(self._randomness)
            self._guarded(lambda: self._ask(next(self._fit)))

    def _take_reply(self, message: SumReply) -> None:
        try:
            self._coordinator.receive(message)
        except FedglmmError as error:
            self.stop(error)
        self._advance_if_complete()

    def _advance_if_complete(self) -> None:
        if self.end is None and self._coordinator.is_complete:
            self._guarded(self._advance)

    def _advance(self) -> None:
        """Open the sum, send it to the estimator, and ask the next question; start over with a smaller cohort."""
        total = self._coordinator.total()
        request = self._request
        if request is not None and self._coordinator.cohort != request.participants:
            lost = ", ".join(sorted(set(request.participants) - set(self._coordinator.cohort)))
            self._say(f"left out: {lost}; the fit starts again over the other sites")
            self._fit = self._start()
            self._ask(next(self._fit))
        else:
            self._ask(self._fit.send(total))

    def _ask(self, question: Question) -> None:
        self._question = question
        numbers = len(question.slots(self._layout))
        self._request = self._coordinator.begin(questions.encode(question), numbers)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do it; whatever ends the fit is kept as its end, for the sites must hear of it."""
        try:
            action()
        except StopIteration as end:
            self.end = Finished(self._keep(end.value))
        except FedglmmError as error:
            self.stop(error)
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
