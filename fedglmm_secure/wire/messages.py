"""What crosses the wire: the messages of the secure sum, and those that open, poll and end an exchange."""

from __future__ import annotations

from dataclasses import dataclass

from fedglmm_secure.errors import FedglmmError, PeerError
from fedglmm_secure.model.questions import Question
from fedglmm_secure.securesum.messages import DIGEST_BYTES, Contribution, Hello, SessionOffer, SumRequest


@dataclass(frozen=True)
class Ready:
    """A site polls: it has answered every sum up to ``last_sum`` of the open session."""

    site: str
    session_id: bytes
    last_sum: int

    def __post_init__(self) -> None:
        """Raise PeerError on a session id of another size."""
        if len(self.session_id) != DIGEST_BYTES:
            raise PeerError(f"a session id has {DIGEST_BYTES} bytes, not {len(self.session_id)}")


@dataclass(frozen=True)
class Refusal:
    """A site will not go on, and why."""

    site: str
    error: FedglmmError


@dataclass(frozen=True)
class Next:
    """The next question, with the session's offer when it is the first."""

    offer: SessionOffer | None
    request: SumRequest
    question: Question

    def __post_init__(self) -> None:
        """Raise PeerError when the offer comes without the first question, or the other way round."""
        if (self.offer is None) == (self.request.number == 1):
            raise PeerError("the session offer must come with the first question, and with no other")


@dataclass(frozen=True)
class Finished:
    """The public result, as JSON."""

    result_json: str


@dataclass(frozen=True)
class Stopped:
    """There will be no result, and why."""

    error: FedglmmError


@dataclass(frozen=True)
class Wait:
    """Nothing yet: poll again."""


SiteMessage = Hello | Contribution | Ready | Refusal
CoordinatorMessage = Next | Finished | Stopped | Wait
