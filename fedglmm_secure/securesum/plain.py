"""No protection: for rehearsal and measurement. A site refuses it unless its own policy allows it."""

from __future__ import annotations

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum.messages import Contribution, Part, Phase, SumReply
from fedglmm_secure.securesum.protection import SiteMaterial, SumView


class Plain:
    """One site's side in one session."""

    def __init__(self, material: SiteMaterial) -> None:
        """Nothing to prepare."""

    def start(self, view: SumView) -> PlainSum:
        """Begin a sum."""
        return PlainSum(view)

    def work_ahead(self) -> None:
        """Nothing to prepare."""


class PlainSum:
    """One site's vector as it is."""

    def __init__(self, view: SumView) -> None:
        """A sum of one message."""
        self._view = view

    def seal(self, encoded: Ring) -> tuple[SumReply, ...]:
        """The vector as it is."""
        return (Contribution(*self._view.head, ring.to_bytes(encoded)),)

    def restore(self, made: tuple[SumReply, ...]) -> None:
        """Nothing to take back."""

    def absorb(self, phase: Phase, parts: tuple[Part, ...]) -> None:
        """Nothing is relayed in such a sum."""
        raise PeerError("nothing is relayed in a plain sum; do not trust this coordinator")

    def make(self, phase: Phase) -> SumReply:
        """There is no other message."""
        raise PeerError(f"a plain sum has no phase {phase.value!r}; do not trust this coordinator")
