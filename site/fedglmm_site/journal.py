"""The journal: which sums this site has answered, on disk before the answer leaves.

A line is JSON: the session, the sum, the context it was bound to, and the protected vector, which is what is
sent.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from fedglmm_secure.securesum import JournalRecord
from fedglmm_secure.wire.records import journal_line, read_journal


class Journal:
    """An append-only file; ``append`` returns only when the record is on disk."""

    def __init__(self, path: Path) -> None:
        """Open or create ``path``; ``records`` are those of earlier sessions."""
        content = path.read_bytes() if path.exists() else b""
        self.records = read_journal(content, str(path))
        self._file = path.open("ab")
        self._file.truncate(content.rfind(b"\n") + 1)  # a line that a crash cut off must not spoil the next
        _sync_folder(path.parent)

    def append(self, record: JournalRecord) -> None:
        """Write a record and force it to disk."""
        self._file.write(journal_line(record))
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()


def _sync_folder(folder: Path) -> None:
    """Make the file's name itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
