"""The audit log of a site: every message in and out, on disk before it counts.

``audit.log`` has one line an entry; ``audit.head`` beside it is the signed end (``fedglmm_secure.wire.audit``). A
message is written down once: when no answer comes, the very same bytes are sent again without another line.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.securesum import SigningIdentity
from fedglmm_secure.wire.audit import Head, Line, check_log, cut_off, genesis, make_line, read_head, sign_head
from fedglmm_secure.wire.messages import CoordinatorMessage, Next, SiteMessage
from fedglmm_site.disk import append, open_private, replace

FORMAT = "fedglmm-audit/1"
LOG, HEAD = "audit.log", "audit.head"


class Audit(Protocol):
    """Where messages are written down."""

    def sent(self, kind: str, data: bytes, *, session: bytes = b"", number: int = 0) -> None:
        """Return when it is on disk that ``data`` is about to leave."""

    def received(self, kind: str, data: bytes, *, session: bytes = b"", number: int = 0) -> None:
        """Return when it is on disk that ``data`` came."""


@dataclass(frozen=True)
class Subject:
    """What a message is about."""

    kind: str
    session: bytes = b""
    number: int = 0
    """Of the sum; 0 for a message that belongs to none."""


def subject(message: SiteMessage | CoordinatorMessage) -> Subject:
    """The kind of a message in lower case, its session and its sum, as far as it names them."""
    about = message.request if isinstance(message, Next) else message
    kind = f"asked:{message.question.kind.replace(' ', '-')}" if isinstance(message, Next) else type(message).__name__
    return Subject(kind.lower(), getattr(about, "session_id", b""), getattr(about, "number", 0))


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
        try:
            self._lock()
            self._count, self._last = 0, genesis(self._study, site, signing.public_bytes)
            restored = self._continue()
            if self._count == 0:
                self.note("begun", format=FORMAT, site=site, key=signing.public_bytes.hex())
            if restored:
                self.note("repaired", text=f"the last line was cut off and is restored: {restored} bytes")
        except BaseException:
            self._file.close()
            raise

    def sent(self, kind: str, data: bytes, *, session: bytes = b"", number: int = 0) -> None:
        """Return when it is on disk that ``data`` is about to leave."""
        self._message("sent", kind, data, session, number)

    def received(self, kind: str, data: bytes, *, session: bytes = b"", number: int = 0) -> None:
        """Return when it is on disk that ``data`` came."""
        self._message("received", kind, data, session, number)

    def note(self, kind: str, **fields: str) -> None:
        """Write what happened here, without a message."""
        self._append("note", kind, {**fields, "study": self._study})

    def _message(self, direction: str, kind: str, data: bytes, session: bytes, number: int) -> None:
        fields = {
            "sum": number or "-",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "session": session.hex() or "-",
            "study": self._study,
            "coordinator": self._peer,
        }
        self._append(direction, kind, fields)

    def _append(self, direction: str, kind: str, fields: dict[str, int | str] | dict[str, str]) -> None:
        """The head first: a line without its signature must never stand in the log, not even after a crash."""
        time = self._now().astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        line = make_line(self._count + 1, time, direction, kind, dict(fields), self._last)
        replace(self._path.with_name(HEAD), sign_head(line, self._signing).encode())
        append(self._file, line.raw)
        self._count, self._last = line.number, line.digest

    def _continue(self) -> int:
        """Take up the log where it ends; how many bytes of its last line had to be restored."""
        content, head_path = self._file.read(), self._path.with_name(HEAD)
        if not content and not head_path.exists():
            return 0
        head = _read(head_path, self._path)
        missing = cut_off(content, head)
        lines = _checked(content + missing, head, self._path)
        if head.public_key != self._signing.public_bytes:
            raise RefusalError(f"{self._path}: is the audit log of another key; use another --out folder")
        if missing:
            append(self._file, missing)
        self._count, self._last = lines[-1].number, lines[-1].digest
        return len(missing)

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
        """Close the log."""
        self._file.close()


def verify_log(path: Path, content: bytes) -> tuple[tuple[Line, ...], Head]:
    """The lines and the head of the log ``path``, whose ``content`` was read; RefusalError says which line is wrong."""
    head = _read(path.with_name(HEAD), path)
    missing = cut_off(content, head)
    if missing:
        raise RefusalError(
            f"{path}: line {head.lines} is cut off, {len(missing)} bytes before its end; if the program was stopped "
            f"just there, `fedglmm-site join` restores the line from {HEAD}"
        )
    return _checked(content, head, path), head


def _read(head: Path, log: Path) -> Head:
    try:
        return read_head(head.read_bytes())
    except FileNotFoundError:
        raise RefusalError(
            f"{log}: {head.name}, its signed end, is missing beside it: lines may be missing too; "
            "keep the folder for whoever looks into it, and join with another --out folder"
        ) from None
    except RefusalError as error:
        raise _changed(log, error) from None


def _checked(content: bytes, head: Head, path: Path) -> tuple[Line, ...]:
    try:
        return check_log(content, head)
    except RefusalError as error:
        raise _changed(path, error) from None


def _changed(path: Path, error: RefusalError) -> RefusalError:
    return RefusalError(
        f"{path}: {error}; keep the folder for whoever looks into it, and join with another --out folder"
    )
