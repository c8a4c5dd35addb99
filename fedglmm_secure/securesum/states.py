"""States and transitions of both parties, as data. Everything that affects either machine's state lives here.

A message is checked first; what it turned out to be (its event) is then looked up. An event that is not in
the table is a violation of the protocol. A refused message changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

from fedglmm_secure.errors import PeerError


class SiteState(Enum):
    """Where a site is in its session."""

    NEW = "not yet introduced"
    GREETED = "waiting for the session offer"
    IDLE = "waiting for a question"
    COMPUTING = "computing an answer"


class SiteEvent(Enum):
    """What happens to a site."""

    HELLO = "its own hello"
    OFFER = "a session offer"
    SAME_OFFER = "the same session offer again"
    QUESTION = "a new question"
    SAME_QUESTION = "the same question again"
    ANSWER = "its own answer"


SITE: Mapping[tuple[SiteState, SiteEvent], SiteState] = {
    (SiteState.NEW, SiteEvent.HELLO): SiteState.GREETED,
    (SiteState.GREETED, SiteEvent.HELLO): SiteState.GREETED,
    (SiteState.GREETED, SiteEvent.OFFER): SiteState.IDLE,
    (SiteState.IDLE, SiteEvent.SAME_OFFER): SiteState.IDLE,
    (SiteState.IDLE, SiteEvent.QUESTION): SiteState.COMPUTING,
    (SiteState.IDLE, SiteEvent.SAME_QUESTION): SiteState.IDLE,
    (SiteState.COMPUTING, SiteEvent.SAME_OFFER): SiteState.COMPUTING,
    (SiteState.COMPUTING, SiteEvent.SAME_QUESTION): SiteState.COMPUTING,
    (SiteState.COMPUTING, SiteEvent.ANSWER): SiteState.IDLE,
}


class CoordinatorState(Enum):
    """Where the coordinator is in its session."""

    GATHERING = "waiting for every site's hello"
    OPEN = "between two sums"
    COLLECTING = "waiting for contributions"


class CoordinatorEvent(Enum):
    """What happens to the coordinator."""

    HELLO = "a site's hello"
    SAME_HELLO = "the same hello again"
    OFFER = "its own session offer"
    SAME_OFFER = "its own session offer again"
    QUESTION = "its own question"
    CONTRIBUTION = "a contribution"
    SAME_CONTRIBUTION = "the same contribution again"
    TOTAL = "the sum"


COORDINATOR: Mapping[tuple[CoordinatorState, CoordinatorEvent], CoordinatorState] = {
    (CoordinatorState.GATHERING, CoordinatorEvent.HELLO): CoordinatorState.GATHERING,
    (CoordinatorState.GATHERING, CoordinatorEvent.SAME_HELLO): CoordinatorState.GATHERING,
    (CoordinatorState.GATHERING, CoordinatorEvent.OFFER): CoordinatorState.OPEN,
    (CoordinatorState.OPEN, CoordinatorEvent.SAME_HELLO): CoordinatorState.OPEN,
    (CoordinatorState.OPEN, CoordinatorEvent.SAME_OFFER): CoordinatorState.OPEN,
    (CoordinatorState.OPEN, CoordinatorEvent.QUESTION): CoordinatorState.COLLECTING,
    (CoordinatorState.OPEN, CoordinatorEvent.SAME_CONTRIBUTION): CoordinatorState.OPEN,
    (CoordinatorState.COLLECTING, CoordinatorEvent.SAME_HELLO): CoordinatorState.COLLECTING,
    (CoordinatorState.COLLECTING, CoordinatorEvent.SAME_OFFER): CoordinatorState.COLLECTING,
    (CoordinatorState.COLLECTING, CoordinatorEvent.CONTRIBUTION): CoordinatorState.COLLECTING,
    (CoordinatorState.COLLECTING, CoordinatorEvent.SAME_CONTRIBUTION): CoordinatorState.COLLECTING,
    (CoordinatorState.COLLECTING, CoordinatorEvent.TOTAL): CoordinatorState.OPEN,
}

State = TypeVar("State", bound=Enum)
Event = TypeVar("Event", bound=Enum)


class Machine(Generic[State, Event]):
    """A current state and the table by which it moves."""

    def __init__(self, table: Mapping[tuple[State, Event], State], start: State) -> None:
        """Start in ``start``."""
        self._table = table
        self.state = start

    def require(self, event: Event) -> State:
        """The state that ``event`` leads to; PeerError when the table has none. Does not move."""
        try:
            return self._table[self.state, event]
        except KeyError:
            raise PeerError(
                f"{event.value} is out of order in the state '{self.state.value}'; start the session again"
            ) from None

    def move(self, event: Event) -> None:
        """Move by ``event``; PeerError when the table does not have it."""
        self.state = self.require(event)
