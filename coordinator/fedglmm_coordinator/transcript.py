"""The transcript: every message received, byte for byte, for whoever evaluates what it could reveal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fedglmm_coordinator.lines import Lines
from fedglmm_secure.wire.records import transcript_line


class Transcript(Lines):
    """An append-only file with one JSON object a line: ``time`` (seconds), ``site``, ``message`` (base64)."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """Open ``path`` for appending; ``clock`` gives the time of day.

        A line that a crash cut off is of a message that was not looked at: its site sends it again.
        """
        super().__init__(path)
        self._clock = clock

    def record(self, site: str, message: bytes) -> None:
        """Append one message."""
        self.append(transcript_line(self._clock(), site, message))
