"""The coordinator's store: what it must not lose, in SQLite, on disk before it goes on.

It holds the study, the session's offer, every sum that was opened, and the messages of the phases that are over in the
one that is not. Started again on the same store, the program goes on where it was.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import numpy as np

from fedglmm_secure.errors import FedglmmError, InputError
from fedglmm_secure.exchange.ledger import Opened, Standing
from fedglmm_secure.securesum import Phase, SessionOffer, SumReply
from fedglmm_secure.securesum.messages import SumMessage, check_ascending
from fedglmm_secure.study import Study
from fedglmm_secure.wire import codec, records

FORMAT = "fedglmm-store/1"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sums (
    number INTEGER PRIMARY KEY, question BLOB NOT NULL, participants TEXT NOT NULL, cohort TEXT NOT NULL,
    total BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER NOT NULL, phase TEXT NOT NULL, site TEXT NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (number, phase, site)
) STRICT;
"""


class Store:
    """One file for one fit. Every method that writes returns when what it wrote survives a power cut.

    They raise OSError when the disk does not take it.
    """

    def __init__(self, path: Path, study: Study) -> None:
        """Open or create the file; InputError when it is none, or belongs to another study."""
        self._path = path
        self.sent: Counter[str] = Counter()
        """The bytes that each site has sent, kept with each sum."""
        with ExitStack() as undo:
            try:
                self._database = sqlite3.connect(path, isolation_level=None)
                undo.callback(self._database.close)
                self._database.execute("PRAGMA locking_mode = EXCLUSIVE")  # two coordinators must not share one fit
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = FULL")
                self._database.executescript(_SCHEMA)
                self._claim(study)
            except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite may quote what is damaged
                code = getattr(error, "sqlite_errorcode", None)
                if code == sqlite3.SQLITE_FULL:
                    raise OSError(errno.ENOSPC, str(error), str(path)) from None
                if code == sqlite3.SQLITE_BUSY:
                    raise InputError(
                        f"{path}: another fedglmm-coordinator uses it; wait until it ends, or choose another --store"
                    ) from None
                raise InputError(f"{path}: cannot be used as a store ({error}); choose another --store") from None
            undo.pop_all()

    @property
    def result(self) -> str | None:
        """The result of a fit that is done, None while it is not; InputError when the file is damaged."""
        with self._reading():
            content = self._fact("result")
            return None if content is None else content.decode()

    @property
    def bytes_sent(self) -> Counter[str]:
        """The bytes that each site had sent when a sum was opened last; InputError when the file is damaged."""
        with self._reading():
            content = self._fact("bytes")
            return Counter({str(site): int(size) for site, size in json.loads(content or b"{}").items()})

    def standing(self) -> Standing | None:
        """Where the session was, None before it was opened; InputError when the file is damaged."""
        with self._reading():
            offer = self._fact("offer")
            if offer is None:
                return None
            sums = self._sums()
            messages = self._messages()
            current = len(sums) + 1
            keys = [sent for sent in messages if sent.phase is Phase.ADVERTISE and sent.number < current]
            present = [sent for sent in messages if sent.number == current]
            phases = dict.fromkeys(sent.phase for sent in present)
            return Standing(
                records.offer_from_bytes(offer), sums, tuple(keys),
                tuple(tuple(sent for sent in present if sent.phase is phase) for phase in phases),
            )  # fmt: skip

    def opened_session(self, offer: SessionOffer) -> None:
        """All sites are to join this session."""
        self._write("offer", records.offer_to_bytes(offer))

    def closed_phase(self, number: int, phase: Phase, messages: Sequence[SumReply]) -> None:
        """The messages of a phase are complete, and about to be relayed."""
        rows = [(number, phase.value, sent.site, codec.encode_site(sent)) for sent in messages]
        with self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?)", rows)

    def opened_sum(self, number: int, opened: Opened) -> None:
        """A sum was opened, and is about to be used; the messages that made it are not needed any more."""
        row = (
            number, opened.question, json.dumps(opened.participants), json.dumps(opened.cohort),
            opened.total.astype("<f8").tobytes(),
        )  # fmt: skip
        with self._transaction():
            self._database.execute("INSERT INTO sums VALUES (?, ?, ?, ?, ?)", row)
            self._database.execute("DELETE FROM messages WHERE phase != ?", (Phase.ADVERTISE.value,))
            self._database.execute(
                "DELETE FROM messages WHERE number < (SELECT max(number) FROM messages)"
            )  # keys of an earlier batch
            self._write("bytes", json.dumps(self.sent).encode())

    def finish(self, result_json: str) -> None:
        """The fit is done."""
        self._write("result", result_json.encode())

    def _claim(self, study: Study) -> None:
        """Write the study into a new file; InputError when the file is another study's or another version's."""
        held, digest = self._fact("format"), self._fact("digest")
        if held is None:
            with self._transaction():
                self._write("format", FORMAT.encode())
                self._write("digest", study.digest)
                self._write("study", study.to_toml().encode())
        elif held != FORMAT.encode() or digest != study.digest:
            raise InputError(
                f"{self._path}: holds another study, or another version of this one; choose another --store"
            )

    def _sums(self) -> tuple[Opened, ...]:
        rows = self._database.execute("SELECT * FROM sums ORDER BY number").fetchall()
        if [row[0] for row in rows] != list(range(1, len(rows) + 1)):
            raise ValueError("a sum is missing")
        return tuple(
            Opened(question, _names(participants), _names(cohort), np.frombuffer(total, "<f8"))
            for _, question, participants, cohort, total in rows
        )

    def _messages(self) -> list[SumReply]:
        rows = self._database.execute("SELECT content FROM messages ORDER BY number, rowid").fetchall()
        messages = [codec.decode_site(content) for (content,) in rows]
        if not all(isinstance(message, SumMessage) for message in messages):
            raise ValueError("a message is of no sum")
        return cast("list[SumReply]", messages)

    def _fact(self, name: str) -> bytes | None:
        row = self._database.execute("SELECT content FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def _write(self, name: str, content: bytes) -> None:
        with self._writing():
            self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, content))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """InputError for whatever shows that the file is not as it was written."""
        try:
            yield
        except (FedglmmError, ValueError, TypeError, AttributeError, RecursionError, sqlite3.Error) as error:
            raise InputError(f"{self._path}: is damaged ({error}); keep it, and begin again with another") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that is executed within it, or nothing."""
        with self._writing():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk may have ended it
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """OSError, as for any other file, when the disk is full or fails."""
        try:
            yield
        except sqlite3.OperationalError as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(self._path)) from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def _names(text: str) -> tuple[str, ...]:
    """Sites as they are kept; ValueError, TypeError, AttributeError or PeerError for anything else."""
    names = tuple(json.loads(text))
    check_ascending("sites of a sum", names)
    return names
