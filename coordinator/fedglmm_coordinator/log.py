"""What happened, for operators and their tools: a JSON object a line, without secrets and without data.

Every line has ``time`` (UTC) and ``event``: ``said`` with the ``line`` that was shown, or ``message`` with the
``site``, its ``kind``, ``sum`` and ``bytes``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from fedglmm_coordinator.lines import open_lines
from fedglmm_secure.wire.messages import SiteMessage


class Log:
    """An append-only file, ``log.jsonl``."""

    def __init__(self, path: Path, now: Callable[[], datetime], say: Callable[[str], None]) -> None:
        """Open ``path`` for appending; ``say`` shows lines to the operator too."""
        self._file = open_lines(path)
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
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()
