"""The audit log of a site: every message in and out, on disk before it counts.

``audit.log`` has one line an entry; ``audit.head`` beside it is the signed end (``fedglmm_secure.wire.audit``). A
message is written down once: when no answer comes, the very same bytes are sent again without another line.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.securesum import SigningIdentity
from fedglmm_secure.wire.audit import (
    COPY_BYTES,
    FORMAT,
    HEAD,
    LOG,
    Head,
    Line,
    Subject,
    check_log,
    cut_off,
    genesis,
    make_line,
    message_fields,
    read_heads,
    sign_head,
)
from fedglmm_site.disk import append, open_private, overwrite, sync_folder


class Audit(Protocol):
    """Where messages are written down."""

    def sent(self, kind: str, data: bytes, *, session: bytes = b"", number: int = 0) -> None:
        """Return when it is on disk that ``data`` is about to leave."""

    def received(self, kind: str, data: bytes, *, session: bytes = b"", number: int = 0) -> None:
        """Return when it is on disk that ``data`` came."""


class AuditLog:
    """An open audit log; nobody else can write to it meanwhile."""

    def __init__(
        self,
        folder: Path,
        *,
        study_digest: bytes,
        site: str,
        signing: SigningIdentity,
        peer: bytes,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open or begin the log in ``folder``, and restore a last line that a crash cut off.

        ``peer`` is the DER of the coordinator's certificate. Raises RefusalError when the log was changed, or is
        another key's, InputError when another program writes to it.
        """
        self._path, self._signing, self._now = folder / LOG, signing, now
        self._study, self._peer = study_digest.hex(), hashlib.sha256(peer).hexdigest()
        self._file = open_private(self._path)
        self._head = open_private(folder / HEAD, appending=False)
        self._copy = 0
        self._unwritten: OSError | None = None
        """Why a line could not be written. It is signed, so the next join writes it, and no other in its place."""
        try:
            self._lock()
            sync_folder(folder)
            self._count, self._last = 0, genesis(self._study, site, signing.public_bytes)
            restored = self._continue()
            if self._count == 0:
                self.note("begun", format=FORMAT, site=site, key=signing.public_bytes.hex())
            if restored:
                self.note("repaired", text=restored)
        except BaseException:
            self._close()
            raise

    def sent(self, kind: str, data: bytes, *, session: bytes = b"", number: int = 0) -> None:
        """Return when it is on disk that ``data`` is about to leave."""
        self._message("sent", data, Subject(kind, session, number))

    def received(self, kind: str, data: bytes, *, session: bytes = b"", number: int = 0) -> None:
        """Return when it is on disk that ``data`` came."""
        self._message("received", data, Subject(kind, session, number))

    def note(self, kind: str, **fields: str) -> None:
        """Write what happened here, without a message."""
        self._append("note", kind, {**fields, "study": self._study})

    def _message(self, direction: str, data: bytes, about: Subject) -> None:
        self._append(direction, about.kind, message_fields(data, about, self._study, self._peer))

    def _append(self, direction: str, kind: str, fields: Mapping[str, int | str]) -> None:
        """The head first: a line without its signature must never stand in the log, not even after a crash."""
        if self._unwritten is not None:
            raise self._unwritten
        line = make_line(self._count + 1, self._now(), direction, kind, fields, self._last)
        self._signed = sign_head(line, self._signing)
        try:
            self._write_head()
            append(self._file, line.raw)
        except OSError as error:
            self._unwritten = error
            raise
        self._count, self._last = line.number, line.digest

    def _write_head(self) -> None:
        """Over the older of the two copies."""
        overwrite(self._head, self._copy * COPY_BYTES, self._signed.encode())
        self._copy = 1 - self._copy

    def _continue(self) -> str:
        """Take up the log where it ends; what of its last entry a crash had cut off, in words."""
        content, heads = self._file.read(), self._head.read()
        if not content and not heads:
            return ""
        copies = _read(heads, self._path)
        head = _latest(copies)
        missing = cut_off(content, head)
        lines = _checked(content + missing, head, self._path)
        if head.public_key != self._signing.public_bytes:
            raise RefusalError(f"{self._path}: is the audit log of another key; use another --out folder")
        if missing:
            append(self._file, missing)
        self._signed, self._copy = head, 1 - copies.index(head)
        self._count, self._last = lines[-1].number, lines[-1].digest
        words = [f"{len(missing)} bytes of the last line were cut off and are restored"] * bool(missing)
        words += [f"a copy in {HEAD} was cut off and is written again"] * (None in copies)
        return "; ".join(words)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{self._path}: another fedglmm-site writes to it; wait until it ends, or use another --out folder"
            ) from None

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the log; both copies of its head are then the same, and no older one is left."""
        try:
            if self._unwritten is None:
                self._write_head()
        finally:
            self._close()

    def _close(self) -> None:
        self._file.close()
        self._head.close()


def refuse_lost_log(folder: Path) -> None:
    """Raise RefusalError for a folder whose journal says that sums were answered, and that has no audit log of them."""
    journal = folder / "journal.jsonl"
    if journal.exists() and journal.stat().st_size and not (folder / LOG).exists() and not (folder / HEAD).exists():
        raise RefusalError(
            f"{folder}: has a journal but no audit log, so the log was removed; keep the folder for whoever looks into "
            "it, and join with another --out folder"
        )


def verify_log(path: Path, content: bytes) -> tuple[tuple[Line, ...], Head]:
    """The lines and the head of the log ``path``, whose ``content`` was read; RefusalError says which line is wrong."""
    if path.name == HEAD:
        raise InputError(f"{path}: is the signed end of an audit log, not the log; give the {LOG} beside it")
    try:
        copies = _read(shell.read_file(path.with_name(HEAD)), path)
    except FileNotFoundError:
        copies = _read(b"", path)
    head = _latest(copies)
    missing, stopped = cut_off(content, head), "if the program runs or was stopped just there, the next join mends it"
    lines = _checked(content + missing, head, path)
    if missing:
        raise RefusalError(f"{path}: line {head.lines} is cut off, {len(missing)} bytes before its end; {stopped}")
    if None in copies or min(copy.lines for copy in copies if copy is not None) < head.lines - 1:
        raise RefusalError(f"{path}: all its lines are whole, but one of the two copies in {HEAD} is not; {stopped}")
    return lines, head


def _read(heads: bytes, log: Path) -> tuple[Head | None, Head | None]:
    if not heads:
        raise _changed(log, RefusalError(f"{HEAD}, its signed end, is missing beside it: lines may be missing too"))
    try:
        return read_heads(heads)
    except RefusalError as error:
        raise _changed(log, error) from None


def _latest(copies: tuple[Head | None, Head | None]) -> Head:
    return max((copy for copy in copies if copy is not None), key=lambda copy: copy.lines)


def _checked(content: bytes, head: Head, path: Path) -> tuple[Line, ...]:
    try:
        return check_log(content, head)
    except RefusalError as error:
        raise _changed(path, error) from None


def _changed(path: Path, error: RefusalError) -> RefusalError:
    return RefusalError(
        f"{path}: {error}; keep the folder for whoever looks into it, and join with another --out folder"
    )
