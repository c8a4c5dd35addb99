"""States and transitions of both parties, and the phases of each protocol's sums, as data.

A message is checked first; what it turned out to be (its event) is then looked up. An event that is not in
the table is a violation of the protocol. A refused message changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum.messages import BATCH, Phase

PHASES: Mapping[str, tuple[Phase, ...]] = {
    "plain": (Phase.CONTRIBUTE,),
    "masking": (Phase.CONTRIBUTE,),
    "masking with dropouts": (Phase.CONTRIBUTE, Phase.AGREE, Phase.UNMASK),
    "paillier": (Phase.COMMIT, Phase.OPEN, Phase.DECRYPT),
}
"""What each site sends in one sum, in order."""

KEY_PHASES = (Phase.ADVERTISE, Phase.SHARE)
"""What goes before, in the first sum of each batch, where sums survive dropouts."""

ANSWERING = frozenset({Phase.CONTRIBUTE, Phase.COMMIT})
"""The phases whose message holds the site's answer: once it has left, the site is in the sum."""

CLOSING = frozenset({Phase.AGREE, Phase.UNMASK, Phase.DECRYPT})
"""The phases for which a threshold of the sites is enough: the sum is over the same sites all the same."""


def phases_of(protocol: str, number: int) -> tuple[Phase, ...]:
    """The phases of sum ``number``."""
    keys = KEY_PHASES if protocol == "masking with dropouts" and number % BATCH == 1 else ()
    return (*keys, *PHASES[protocol])


class SiteState(Enum):
    """Where a site is in its session."""

    NEW = "not yet introduced"
    GREETED = "waiting for the session offer"
    IDLE = "waiting for a question"
    COMPUTING = "computing an answer"
    PREPARING = "exchanging keys before an answer"
    CLOSING = "helping to open a sum"


class SiteEvent(Enum):
    """What happens to a site."""

    HELLO = "its own hello"
    OFFER = "a session offer"
    SAME_OFFER = "the same session offer again"
    QUESTION = "a new question"
    QUESTION_FOR_KEYS = "a new question of a sum that begins with keys"
    SAME_QUESTION = "the same question again"
    KEYS = "keys or shares of the other sites"
    LAST_KEYS = "the last shares before an answer"
    ANSWER = "its own answer"
    ANSWER_TO_OPEN = "its own answer in a sum that sites open together"
    RELAY = "what the other sites sent"
    LAST_RELAY = "what the other sites sent, for the last time in a sum"
    SAME_RELAY = "what the other sites sent, again"


_S, _E = SiteState, SiteEvent
SITE: Mapping[tuple[SiteState, SiteEvent], SiteState] = {
    (_S.NEW, _E.HELLO): _S.GREETED,
    (_S.GREETED, _E.HELLO): _S.GREETED,
    (_S.GREETED, _E.OFFER): _S.IDLE,
    (_S.IDLE, _E.SAME_OFFER): _S.IDLE,
    (_S.IDLE, _E.QUESTION): _S.COMPUTING,
    (_S.IDLE, _E.QUESTION_FOR_KEYS): _S.PREPARING,
    (_S.IDLE, _E.SAME_QUESTION): _S.IDLE,
    (_S.IDLE, _E.SAME_RELAY): _S.IDLE,
    (_S.PREPARING, _E.SAME_OFFER): _S.PREPARING,
    (_S.PREPARING, _E.SAME_QUESTION): _S.PREPARING,
    (_S.PREPARING, _E.SAME_RELAY): _S.PREPARING,
    (_S.PREPARING, _E.KEYS): _S.PREPARING,
    (_S.PREPARING, _E.LAST_KEYS): _S.COMPUTING,
    (_S.COMPUTING, _E.SAME_OFFER): _S.COMPUTING,
    (_S.COMPUTING, _E.SAME_QUESTION): _S.COMPUTING,
    (_S.COMPUTING, _E.SAME_RELAY): _S.COMPUTING,
    (_S.COMPUTING, _E.ANSWER): _S.IDLE,
    (_S.COMPUTING, _E.ANSWER_TO_OPEN): _S.CLOSING,
    (_S.CLOSING, _E.SAME_OFFER): _S.CLOSING,
    (_S.CLOSING, _E.SAME_QUESTION): _S.CLOSING,
    (_S.CLOSING, _E.SAME_RELAY): _S.CLOSING,
    (_S.CLOSING, _E.RELAY): _S.CLOSING,
    (_S.CLOSING, _E.LAST_RELAY): _S.IDLE,
    # The others opened the sum without this site.
    (_S.CLOSING, _E.QUESTION): _S.COMPUTING,
    (_S.CLOSING, _E.QUESTION_FOR_KEYS): _S.PREPARING,
}


class CoordinatorState(Enum):
    """Where the coordinator is in its session."""

    GATHERING = "waiting for every site's hello"
    OPEN = "between two sums"
    COLLECTING = "waiting for the messages of a phase"
    COMPLETE = "holding all messages of a sum"


class CoordinatorEvent(Enum):
    """What happens to the coordinator."""

    HELLO = "a site's hello"
    SAME_HELLO = "the same hello again"
    OFFER = "its own session offer"
    SAME_OFFER = "its own session offer again"
    QUESTION = "its own question"
    MESSAGE = "a site's message"
    SAME_MESSAGE = "the same message again"
    LATE_MESSAGE = "a message of a phase that was closed without it"
    PHASE = "the end of a phase"
    LAST_PHASE = "the end of a sum's last phase"
    TOTAL = "the sum"


_C, _F = CoordinatorState, CoordinatorEvent
COORDINATOR: Mapping[tuple[CoordinatorState, CoordinatorEvent], CoordinatorState] = {
    (_C.GATHERING, _F.HELLO): _C.GATHERING,
    (_C.GATHERING, _F.SAME_HELLO): _C.GATHERING,
    (_C.GATHERING, _F.OFFER): _C.OPEN,
    (_C.OPEN, _F.SAME_HELLO): _C.OPEN,
    (_C.OPEN, _F.SAME_OFFER): _C.OPEN,
    (_C.OPEN, _F.QUESTION): _C.COLLECTING,
    (_C.OPEN, _F.SAME_MESSAGE): _C.OPEN,
    (_C.OPEN, _F.LATE_MESSAGE): _C.OPEN,
    (_C.COLLECTING, _F.SAME_HELLO): _C.COLLECTING,
    (_C.COLLECTING, _F.SAME_OFFER): _C.COLLECTING,
    (_C.COLLECTING, _F.MESSAGE): _C.COLLECTING,
    (_C.COLLECTING, _F.SAME_MESSAGE): _C.COLLECTING,
    (_C.COLLECTING, _F.LATE_MESSAGE): _C.COLLECTING,
    (_C.COLLECTING, _F.PHASE): _C.COLLECTING,
    (_C.COLLECTING, _F.LAST_PHASE): _C.COMPLETE,
    (_C.COMPLETE, _F.SAME_HELLO): _C.COMPLETE,
    (_C.COMPLETE, _F.SAME_OFFER): _C.COMPLETE,
    (_C.COMPLETE, _F.SAME_MESSAGE): _C.COMPLETE,
    (_C.COMPLETE, _F.LATE_MESSAGE): _C.COMPLETE,
    (_C.COMPLETE, _F.TOTAL): _C.OPEN,
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
