"""A coordinator that lies to one site about what is asked: one class a lie."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from fedglmm_secure.errors import FitError, PeerError, RefusalError
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Describe, MarginalDerivatives, Question
from fedglmm_secure.rehearsal.hostile import Said
from fedglmm_secure.rehearsal.liars import (
    EVERY,
    LyingCoordinator,
    Situation,
)
from fedglmm_secure.rehearsal.weather import damaged
from fedglmm_secure.securesum import Relay
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.messages import CoordinatorMessage, Next, SiteMessage


class _AboutTheQuestion(LyingCoordinator):
    """Changes a question on its way."""

    schemes = EVERY

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        return self._changed(honest) if isinstance(honest, Next) else None

    @abstractmethod
    def _changed(self, honest: Next) -> Next | None:
        """Another question."""


class LeavesOutASite(_AboutTheQuestion):
    """Asks for a sum without one of the sites."""

    stops = (RefusalError, PeerError)
    schemes = _AboutTheQuestion.schemes - {"plain"}

    def _changed(self, honest: Next) -> Next | None:
        left = self.another()
        others = tuple(name for name in honest.request.participants if name != left)
        return replace(honest, request=replace(honest.request, participants=others))


class AsksOneSiteAlone(_AboutTheQuestion):
    """Asks for a sum over the victim alone, which is its contribution."""

    stops = (RefusalError,)

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, participants=(self.victim,)))


class InventsASite(_AboutTheQuestion):
    """Asks for a sum with a site that is not in the roster."""

    stops = (RefusalError,)

    def _changed(self, honest: Next) -> Next | None:
        more = tuple(sorted((*honest.request.participants, "zz invented")))
        return replace(honest, request=replace(honest.request, participants=more))


class AsksAnotherQuestion(_AboutTheQuestion):
    """Asks one site at other parameters than the rest, to learn how its answer differs."""

    schemes = _AboutTheQuestion.schemes - {"plain"}
    earliest = 2

    def _changed(self, honest: Next) -> Next | None:
        return _asking(honest, _elsewhere(honest.question))


class AsksTwice(LyingCoordinator):
    """Asks another question under a number that was answered already."""

    schemes = EVERY
    earliest = 3

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        asked = [said for said in self.told_before() if isinstance(said, Next)]
        question = _elsewhere(asked[-1].question) if asked else None
        return _asking(replace(asked[-1], offer=None), question) if question else None


class RepeatsTheQuestion(_AboutTheQuestion):
    """Asks the last question once more before the next one: the same answer is no news."""

    earliest = 2
    harmless = True

    def __init__(self, situation: Situation) -> None:
        """Only once."""
        super().__init__(situation)
        self._repeated = False

    def says(self, site: str, asked: SiteMessage, honest: CoordinatorMessage | None) -> Said | None:
        """The last question, and the next time the present one."""
        said = super().says(site, asked, honest)
        if said is not honest and self._repeated:
            return honest
        self._repeated = self._repeated or said is not honest
        return said

    def _changed(self, honest: Next) -> Next | None:
        return _earlier_question(self, honest.request.number - 1)


class ReplaysAnOldQuestion(_AboutTheQuestion):
    """Asks the question of a sum that is long over."""

    earliest = 3
    stops = (PeerError, RefusalError)

    def _changed(self, honest: Next) -> Next | None:
        return _earlier_question(self, honest.request.number - 2)


class SkipsASum(_AboutTheQuestion):
    """Leaves out a number."""

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, number=honest.request.number + 1))


class AsksWithoutEnd(_AboutTheQuestion):
    """Asks for more sums than the study allows."""

    stops = (RefusalError,)

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, number=self.terms.max_sums + 1))


class AsksForAnotherLength(_AboutTheQuestion):
    """Asks for more numbers than the question has."""

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, length=honest.request.length + 1))


class AsksInAnotherSession(_AboutTheQuestion):
    """Puts the id of another session into a question."""

    earliest = 2

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, session_id=self.dice.randbytes(32)))


class DescribesAgain(_AboutTheQuestion):
    """Asks for the description in a later sum."""

    earliest = 2

    def _changed(self, honest: Next) -> Next | None:
        return _asking(honest, None if isinstance(honest.question, Describe) else Describe())


class SinglesOut(_AboutTheQuestion):
    """Asks at parameters beyond all reason, where single patients would have all the weight."""

    earliest = 2
    stops = (PeerError, RefusalError)

    def _changed(self, honest: Next) -> Next | None:
        return _asking(honest, _elsewhere(honest.question, by=10.0 ** self.dice.randint(2, 9)))


class InventsADescription(_AboutTheQuestion):
    """Tells a site that the pooled data have 20 rows, fewer than it has itself."""

    earliest = 2
    stops = (PeerError, RefusalError)

    def _changed(self, honest: Next) -> Next | None:
        question = honest.question
        if not isinstance(question, MarginalDerivatives):
            return None
        return _asking(honest, replace(question, description=(20.0, *question.description[1:])))


class SendsNoNumber(_AboutTheQuestion):
    """Asks at a parameter that is no number."""

    earliest = 2
    stops = (PeerError, FitError)

    def _changed(self, honest: Next) -> Next | None:
        question = honest.question
        if not isinstance(question, MarginalDerivatives):
            return None
        wrong = self.dice.choice([float("nan"), float("inf"), -float("inf")])
        return _asking(honest, replace(question, theta=(wrong, *question.theta[1:])))


class Garbles(LyingCoordinator):
    """Sends bytes that are nearly a message."""

    stops = (PeerError, RefusalError, FitError)
    harmless = True  # bytes may change that nobody needs

    def _lie(self, honest: Next | Relay) -> bytes | None:
        return damaged(codec.encode_coordinator(honest), self.dice)


def _asking(honest: Next, question: Question | None) -> Next | None:
    """The same request with another question."""
    if question is None:
        return None
    request = replace(honest.request, question=questions.encode(question))
    return replace(honest, request=request, question=question)


def _elsewhere(question: Question, by: float = 2.0**-20) -> Question | None:
    """The question at other parameters; None for a description, which has none."""
    if not isinstance(question, MarginalDerivatives):
        return None
    return replace(question, theta=(question.theta[0] + by, *question.theta[1:]))


def _earlier_question(liar: LyingCoordinator, number: int) -> Next | None:
    asked = [said for said in liar.told_before() if isinstance(said, Next) and said.request.number == number]
    return replace(asked[-1], offer=None) if asked else None
