"""The journal: which sums this site has answered, on disk before the answer leaves.

A line is JSON: the session, the sum, the context it was bound to, and the protected vector, which is what is
sent.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from fedglmm_secure.errors import FedglmmError, InputError
from fedglmm_secure.securesum import Contribution, JournalRecord


class Journal:
    """An append-only file; ``append`` returns only when the record is on disk."""

    def __init__(self, path: Path) -> None:
        """Open or create ``path``; ``records`` are those of earlier sessions."""
        self.records = _read(path) if path.exists() else ()
        self._file = path.open("ab")
        _sync_folder(path.parent)

    def append(self, record: JournalRecord) -> None:
        """Write a record and force it to disk."""
        self._file.write(_to_line(record))
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


def _to_line(record: JournalRecord) -> bytes:
    sent = record.contribution
    fields = {
        "session": sent.session_id.hex(),
        "sum": sent.number,
        "attempt": sent.attempt,
        "site": sent.site,
        "context": record.context.hex(),
        "vector": sent.vector.hex(),
    }
    return json.dumps(fields).encode() + b"\n"


def _from_line(line: bytes) -> JournalRecord:
    fields = json.loads(line)
    sent = Contribution(
        bytes.fromhex(fields["session"]),
        fields["sum"],
        fields["attempt"],
        fields["site"],
        bytes.fromhex(fields["vector"]),
    )
    return JournalRecord(bytes.fromhex(fields["context"]), sent)


def _read(path: Path) -> tuple[JournalRecord, ...]:
    """The complete lines: one that was cut off by a crash belongs to an answer that never left."""
    *lines, _torn = path.read_bytes().split(b"\n")
    try:
        return tuple(map(_from_line, lines))
    except (ValueError, KeyError, TypeError, FedglmmError) as error:
        raise InputError(f"{path} is damaged; keep it, and join with another --out folder") from error


def _sync_folder(folder: Path) -> None:
    """Make the file's name itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
