"""The exchange loop of a site: say hello, answer each question that passes every check, until the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fedglmm_secure.errors import FedglmmError, LinkError
from fedglmm_secure.securesum import Hello, JournalRecord, Site
from fedglmm_secure.study import Study
from fedglmm_secure.study.guard import check_question
from fedglmm_secure.study.site_rows import SiteRows
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
from fedglmm_site.outward import outward

FAREWELL_SECONDS = 5.0


class Link(Protocol):
    """How messages reach the coordinator."""

    def send(self, message: SiteMessage) -> CoordinatorMessage:
        """The answer to ``message``."""

    def send_last(self, message: SiteMessage, seconds: float) -> None:
        """Send without caring for the answer."""


class Log(Protocol):
    """Where a contribution is written down before it leaves."""

    def append(self, record: JournalRecord) -> None:
        """Return when the record is on disk."""


class Agent:
    """One site in one fit."""

    def __init__(
        self,
        study: Study,
        rows: SiteRows,
        site: Site,
        *,
        link: Link,
        journal: Log,
        say: Callable[[str], None],
    ) -> None:
        """``site`` is the secure sum's machine, which has not said hello yet."""
        self._study, self._rows = study, rows
        self._site, self._link, self._journal, self._say = site, link, journal, say

    def run(self) -> Finished:
        """Take part until the result is there; raises the error that ended it, here or at the coordinator."""
        try:
            return self._exchange()
        except CoordinatorStopped as stopped:
            raise stopped.error from None
        except LinkError:
            raise
        except FedglmmError as error:
            self._refuse(outward(error))
            raise
        except KeyboardInterrupt:
            self._refuse(LinkError("it was stopped by its operator"))
            raise
        except Exception:
            self._refuse(FedglmmError("it failed; its operator has the details"))
            raise

    def _exchange(self) -> Finished:
        message: SiteMessage = self._site.hello()
        while True:
            reply = self._link.send(message)
            match reply:
                case Next():
                    message = self._answer(reply)
                case Wait():
                    message = self._poll()
                case Finished():
                    return reply
                case Stopped():
                    raise CoordinatorStopped(reply.error)

    def _answer(self, asked: Next) -> SiteMessage:
        """Every check, then the answer; it is in the journal before it is returned to be sent."""
        if asked.offer is not None:
            self._site.open(asked.offer)
        check_question(self._study, asked.question, asked.request.number)
        known = self._site.receive(asked.request)
        if known is not None:
            return known
        layout = self._study.layout
        values = self._rows.answer(asked.question)
        record, contribution = self._site.answer(values, asked.question.slots(layout))
        self._journal.append(record)
        self._say(f"sum {asked.request.number}: {asked.question.kind}")
        return contribution

    def _poll(self) -> Hello | Ready:
        if not self._site.session_id:
            return self._site.hello()
        return Ready(self._site.name, self._site.session_id, self._site.sums)

    def _refuse(self, error: FedglmmError) -> None:
        self._link.send_last(Refusal(self._site.name, error), FAREWELL_SECONDS)


class CoordinatorStopped(Exception):
    """The coordinator ended the session and said why."""

    def __init__(self, error: FedglmmError) -> None:
        """Carry the error that the coordinator named."""
        super().__init__(str(error))
        self.error = error
