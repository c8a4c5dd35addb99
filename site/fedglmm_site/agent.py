"""The exchange loop of a site: send, take what comes next, until the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from fedglmm_secure.errors import FedglmmError, LinkError
from fedglmm_secure.exchange import Party
from fedglmm_secure.securesum import JournalRecord
from fedglmm_secure.wire.messages import CoordinatorMessage, Finished, Refusal, SiteMessage, Stopped
from fedglmm_site.outward import outward

FAREWELL_SECONDS = 5.0


class Link(Protocol):
    """How messages reach the coordinator."""

    def send(self, message: SiteMessage) -> CoordinatorMessage:
        """The answer to ``message``."""

    def send_last(self, message: SiteMessage, seconds: float) -> None:
        """Send for the other's information; neither the answer nor its absence changes anything."""


class Agent:
    """One site in one fit."""

    def __init__(self, name: str, party: Party, link: Link, keep: Callable[[Finished], None]) -> None:
        """``party`` decides what is sent; ``name`` is the site's; ``keep`` returns when the result is on disk."""
        self._name, self._party, self._link, self._keep = name, party, link, keep

    def run(self, records: Sequence[JournalRecord] = ()) -> Finished:
        """Take part until the result is there; raises the error that ended it, here or at the coordinator.

        A site that its operator stops says nothing: started again, it goes on.

        ``records`` are those of the session that this site was in when it was stopped. Raises SessionOver when the
        coordinator does not know it any more.
        """
        try:
            with ThreadPoolExecutor(1) as background:
                return self._exchange(records, background)
        except CoordinatorStopped as stopped:
            raise stopped.error from None
        except (LinkError, OSError):
            raise  # the operator can mend a line or a full disk; started again, this site goes on
        except FedglmmError as error:
            self._refuse(outward(error))
            raise
        except Exception:
            self._refuse(FedglmmError("it failed; its operator has the details"))
            raise

    def _exchange(self, records: Sequence[JournalRecord], background: ThreadPoolExecutor) -> Finished:
        message = self._party.begin(records)
        while True:
            background.submit(self._party.work_ahead)
            reply = self._link.send(message)
            match reply:
                case Finished():
                    self._keep(reply)
                    self._link.send_last(self._party.farewell(), FAREWELL_SECONDS)  # now the coordinator may go
                    return reply
                case Stopped():
                    raise CoordinatorStopped(reply.error)
                case _:
                    message = self._party.reply(reply)

    def _refuse(self, error: FedglmmError) -> None:
        self._link.send_last(Refusal(self._name, error), FAREWELL_SECONDS)


class CoordinatorStopped(Exception):
    """The coordinator ended the session and said why."""

    def __init__(self, error: FedglmmError) -> None:
        """Carry the error that the coordinator named."""
        super().__init__(str(error))
        self.error = error
