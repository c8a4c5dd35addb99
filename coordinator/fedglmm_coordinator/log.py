"""What happened, for operators and their tools: a JSON object a line, without secrets and without data.

Every line has ``time`` (UTC) and ``event``: ``said`` with the ``line`` that was shown, or ``message`` with the
``site``, its ``kind``, ``sum`` and ``bytes``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from fedglmm_coordinator.lines import Lines
from fedglmm_secure.wire.messages import SiteMessage


class Log(Lines):
    """An append-only file, ``log.jsonl``."""

    def __init__(self, path: Path, now: Callable[[], datetime], say: Callable[[str], None]) -> None:
        """Open ``path`` for appending; ``say`` shows lines to the operator too."""
        super().__init__(path)
        self._now, self._show = now, say

    def say(self, line: str) -> None:
        """Show a line and write it down."""
        self._show(line)
        self._write(event="said", line=line)

    def message(self, site: str, message: SiteMessage, size: int) -> None:
        """Write down that a message came: what it is, and nothing of what it holds."""
        number = getattr(message, "number", getattr(message, "last_sum", 0))
        self._write(event="message", site=site, kind=type(message).__name__.lower(), sum=number, bytes=size)

    def _write(self, **fields: object) -> None:
        line = {"time": self._now().isoformat(timespec="milliseconds"), **fields}
        self.append(json.dumps(line, ensure_ascii=False) + "\n")
