"""A site's side of one fit: every check, then the answer, and nothing leaves before the journal has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from fedglmm_secure.errors import InputError, LinkError
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Question
from fedglmm_secure.securesum import Hello, JournalRecord, Relay, Site, SumReply, SumRequest
from fedglmm_secure.securesum.messages import DIGEST_BYTES
from fedglmm_secure.study import Study
from fedglmm_secure.study.guard import check_question
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire.messages import Next, Ready, SayHello, SendAgain, SiteMessage, Wait

Keep = Callable[[JournalRecord], None]
"""Returns when the record is where a crash cannot take it."""


class SessionOver(LinkError):
    """The coordinator does not know this site's session; begin another one with a new seed."""


class Party:
    """One site in one fit: ``begin``, then a ``reply`` to each message of the coordinator but the last."""

    def __init__(
        self,
        study: Study,
        rows: SiteRows,
        machine: Site,
        keep: Keep,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``machine`` has not said hello yet; ``keep`` writes to the site's journal."""
        self._study, self._rows, self._machine, self._keep, self._say = study, rows, machine, keep, say
        self._question: Question | None = None
        self._is_written = True

    def begin(self, records: Sequence[JournalRecord] = ()) -> SiteMessage:
        """The first message: a hello, or where this site was in the session of its journal's ``records``."""
        if not records:
            return self._machine.hello()
        last = self._machine.resume(records)
        asked, requests = questions_of(records), _requests(records)
        self._rows.recall(asked)
        if asked:  # its answer may be owed, and the site's limits may be stricter now
            self._question = asked[-1]
            self._check(asked[-1], requests[-1])
        return last or self.poll()

    def reply(self, message: Next | Relay | Wait | SendAgain | SayHello) -> SiteMessage:
        """What to send next. Raises whatever this site finds wrong; SessionOver when there is no such session."""
        if not self._is_written:
            raise InputError("this site's journal could not be written; make room on its disk and start it again")
        match message:
            case Next():
                return self._take_question(message)
            case Relay():
                return self._take_relay(message)
            case Wait():
                return self.poll()
            case SendAgain():
                return self._machine.sent or self.poll()
            case SayHello():
                raise SessionOver(
                    "the coordinator was started again and does not know this session; start this site again"
                )

    def work_ahead(self) -> None:
        """Prepare what the next sum needs: for another thread, while this one waits for the coordinator."""
        self._machine.work_ahead()

    def _take_question(self, message: Next) -> SiteMessage:
        machine, question = self._machine, message.question
        if message.offer is not None:
            self._keep_record(machine.open(message.offer))
        request = message.request
        self._check(question, request)
        step = machine.receive(request)
        self._question = question
        if step is None:
            return self._answer(question)
        self._keep_record(step.record)
        return step.message

    def _check(self, question: Question, request: SumRequest) -> None:
        check_question(self._study, question, request.number, first=self._machine.check(request))

    def _take_relay(self, relay: Relay) -> SiteMessage:
        step = self._machine.receive(relay)
        if step is None:
            return self._answer(cast("Question", self._question))  # no relay is taken before a question
        self._keep_record(step.record)
        return step.message

    def farewell(self) -> Ready:
        """That the result has arrived: where this site was, without a phase; zeros for a session that it never saw."""
        return Ready(self._machine.name, self._machine.session_id or bytes(DIGEST_BYTES), self._machine.sums)

    def poll(self) -> Hello | Ready:
        """Where this site is: what it says when it has nothing to send."""
        machine = self._machine
        return Ready(machine.name, machine.session_id, *machine.last) if machine.session_id else machine.hello()

    def _keep_record(self, record: JournalRecord | None) -> None:
        """Nothing leaves before this returns; None for what stands in the journal already."""
        if record is not None:
            self._is_written = False  # until ``keep`` has returned: what it was to hold must not leave by another way
            self._keep(record)  # (rule 34)
            self._is_written = True

    def _answer(self, question: Question) -> SumReply:
        layout = self._study.layout
        step = self._machine.answer(self._rows.answer(question), question.slots(layout))
        self._keep_record(step.record)
        self._say(f"sum {step.message.number}: {question.kind}")
        return step.message


def questions_of(records: Iterable[JournalRecord]) -> tuple[Question, ...]:
    """What was asked in a journal's sums, in order; InputError for what is no question."""
    return tuple(questions.decode(request.question) for request in _requests(records))


def _requests(records: Iterable[JournalRecord]) -> tuple[SumRequest, ...]:
    return tuple(record.received for record in records if isinstance(record.received, SumRequest))
