"""What crosses the wire: the messages of the secure sum, and those that open, poll and end an exchange."""

from __future__ import annotations

from dataclasses import dataclass

from fedglmm_secure.errors import FedglmmError, PeerError
from fedglmm_secure.model.questions import Question
from fedglmm_secure.securesum.messages import DIGEST_BYTES, Hello, Phase, Relay, SessionOffer, SumReply, SumRequest


@dataclass(frozen=True)
class Ready:
    """A site polls: its last message in the open session was ``phase`` of ``last_sum``, (0, None) before the first."""

    site: str
    session_id: bytes
    last_sum: int
    phase: Phase | None = None

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
    """The next question; in answer to a Hello with the session's offer."""

    offer: SessionOffer | None
    request: SumRequest
    question: Question


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


@dataclass(frozen=True)
class SayHello:
    """The coordinator does not know the session of the message: begin another one."""


@dataclass(frozen=True)
class SendAgain:
    """The coordinator has not the message that the site sent last: once more."""


SiteMessage = Hello | SumReply | Ready | Refusal
CoordinatorMessage = Next | Relay | Finished | Stopped | Wait | SayHello | SendAgain
