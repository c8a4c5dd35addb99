"""What a coordinator must keep to go on after a crash. The program has it in SQLite, a rehearsal nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import Phase, SessionOffer, SumReply


@dataclass(frozen=True)
class Opened:
    """A sum that was opened: the question's canonical bytes, who was asked, who is in it, and the numbers."""

    question: bytes
    participants: tuple[str, ...]
    cohort: tuple[str, ...]
    total: Vector


@dataclass(frozen=True)
class Standing:
    """Where a session was: its offer, the sums that were opened, and the closed phases of the one that was not."""

    offer: SessionOffer
    sums: tuple[Opened, ...]
    keys: tuple[SumReply, ...]
    """The advertisements of the present batch of keys, if there is one."""
    phases: tuple[tuple[SumReply, ...], ...]


class Ledger(Protocol):
    """Each method returns when what it was given cannot be lost any more."""

    def opened_session(self, offer: SessionOffer) -> None:
        """All sites are to join this session."""

    def closed_phase(self, number: int, phase: Phase, messages: Sequence[SumReply]) -> None:
        """The messages of a phase are complete, and about to be relayed."""

    def opened_sum(self, number: int, opened: Opened) -> None:
        """A sum was opened, and is about to be used."""


class NoLedger:
    """Nothing is kept: a fit that is interrupted begins again."""

    def opened_session(self, offer: SessionOffer) -> None:
        """Not kept."""

    def closed_phase(self, number: int, phase: Phase, messages: Sequence[SumReply]) -> None:
        """Not kept."""

    def opened_sum(self, number: int, opened: Opened) -> None:
        """Not kept."""
