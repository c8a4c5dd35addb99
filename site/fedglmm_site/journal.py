"""The journal: what this site took and what it made of it, on disk before anything leaves; and the session's seed.

A line is JSON: the phase, the context it was bound to, what was received, and the messages that were made, which are
what is sent. The seed is in a file of its own, which only the site may read, and which is removed when the fit is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum import Hello, JournalRecord, Seed, SessionOffer
from fedglmm_secure.securesum.seed import SEED_BYTES
from fedglmm_secure.wire.records import journal_line, read_journal
from fedglmm_site.disk import append, open_private, replace, sync_folder

SEED = "session.seed"


class Journal:
    """An append-only file; ``append`` returns only when the record is on disk."""

    def __init__(self, path: Path) -> None:
        """Open or create ``path``; ``records`` are those that it holds."""
        content = shell.read_file(path) if path.exists() else b""
        self.records = read_journal(content, str(path))
        self._file = open_private(path)
        self._file.truncate(content.rfind(b"\n") + 1)  # a line that a crash cut off must not spoil the next
        sync_folder(path.parent)

    def session_of(self, hello: Hello) -> tuple[JournalRecord, ...]:
        """The records of the session that was opened with this very hello, none when there is none."""
        return next((records for offer, records in self._by_session() if hello in offer.hellos), ())

    def before(self, hello: Hello) -> tuple[JournalRecord, ...]:
        """The records of every other session of the hello's study."""
        return tuple(
            record
            for offer, records in self._by_session()
            if hello not in offer.hellos and hello.study_digest in [other.study_digest for other in offer.hellos]
            for record in records
        )

    def _by_session(self) -> Iterator[tuple[SessionOffer, tuple[JournalRecord, ...]]]:
        starts = [i for i, record in enumerate(self.records) if isinstance(record.received, SessionOffer)]
        for start, end in pairwise([*starts, len(self.records)]):
            yield cast("SessionOffer", self.records[start].received), self.records[start:end]

    @property
    def sessions(self) -> frozenset[bytes]:
        """The ids of all sessions in which this site sent anything of a sum."""
        received = (record.received for record in self.records)
        return frozenset(message.session_id for message in received if not isinstance(message, SessionOffer))

    def append(self, record: JournalRecord) -> None:
        """Write a record and force it to disk."""
        append(self._file, journal_line(record))

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()


class SeedFile:
    """Where the seed of a session is kept while it lasts, and behind it its study. Readable by its owner only."""

    def __init__(self, folder: Path, study_digest: bytes) -> None:
        """The file ``session.seed`` of a folder, for a session of a study."""
        self._path, self._study = folder / SEED, study_digest

    def refuse_other(self) -> None:
        """Raise InputError for the seed of another study's session.

        Two studies would say hello with the same keys, and the end of one would take the seed from the other.
        """
        if self._path.exists() and (study := shell.read_file(self._path)[SEED_BYTES:]) not in (b"", self._study):
            raise InputError(
                f"{self._path.parent}: holds a session of another study (digest {study.hex()[:16]}) that has not "
                "ended; choose another --out folder"
            )

    def read_or_draw(self, randomness: Callable[[int], bytes]) -> Seed:
        """The seed that is kept here, or a fresh one, which is on disk when this returns.

        Raises InputError for a file that others can read, or of another study's session.
        """
        if not self._path.exists():
            return self.draw(randomness)
        if self._path.stat().st_mode & 0o077:
            raise InputError(f"{self._path}: can be read by others than its owner; run `chmod 600 {self._path}`")
        self.refuse_other()
        return Seed(shell.read_file(self._path)[:SEED_BYTES])

    def draw(self, randomness: Callable[[int], bytes]) -> Seed:
        """A fresh seed in place of any other."""
        seed = Seed(randomness(SEED_BYTES))
        replace(self._path, seed.content + self._study)
        return seed

    def forget(self) -> None:
        """Remove it: from now on nothing here opens the masks of this session."""
        self._path.unlink(missing_ok=True)
