"""The audit log's format: one readable line an entry, each with the digest of the line before, and a signed head.

A chain shows every change, deletion, insertion and move, but not that lines are missing at its end. Therefore a second
file, the head, holds the number of lines and the last line itself, signed by the site. It is written *before* its line:
whatever a crash cuts off is in the head, and no line without a signature is ever valid. It is written in two copies in
turn, in place, so that one of them is whole at any moment, and that costs little more than the line itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fedglmm_secure import canonical
from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.securesum import SigningIdentity, labels
from fedglmm_secure.securesum.identity import verify
from fedglmm_secure.wire.messages import CoordinatorMessage, Next, SiteMessage

LOG, HEAD = "audit.log", "audit.head"
FORMAT = "fedglmm-audit/1"
HEAD_FORMAT = "fedglmm-audit-head/1"
COPY_BYTES = 4096
"""Of one copy of the head: a block of most disks, so that writing one leaves the other alone."""
LONGEST_TEXT = 300
"""Characters of one field: a line then fits into a copy of the head, however its letters are escaped."""
_LINE = re.compile(
    rb" *(?P<number>[1-9][0-9]*) (?P<time>[-0-9T:.]+Z) (?P<direction>sent|received|note) +(?P<kind>\S+) +"
    rb"(?P<fields>[ -~]*)previous=(?P<previous>[0-9a-f]{64})\n"
)
_FIELD = re.compile(rb'(\w+)=("(?:[^"\\]|\\.)*"|\S+) ')


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


def message_fields(data: bytes, about: Subject, study: str, coordinator: str) -> dict[str, int | str]:
    """What is written down of the message ``data``: not what it says.

    ``study`` is the study's digest, ``coordinator`` the SHA-256 of the coordinator's certificate, both in hexadecimal.
    """
    return {
        "sum": about.number or "-",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "session": about.session.hex() or "-",
        "study": study,
        "coordinator": coordinator,
    }


@dataclass(frozen=True)
class Line:
    """One entry, as bytes and in its parts."""

    raw: bytes
    number: int
    time: str
    direction: str
    kind: str
    fields: Mapping[str, str]
    previous: str

    @property
    def digest(self) -> str:
        """SHA-256 of the line with its line break, in hexadecimal: what ``sha256sum`` gives for it."""
        return hashlib.sha256(self.raw).hexdigest()


@dataclass(frozen=True)
class Head:
    """The signed end of a log."""

    lines: int
    last: bytes
    public_key: bytes
    signature: bytes

    def encode(self) -> bytes:
        """One copy of the head: a line of JSON, filled up with spaces to ``COPY_BYTES``."""
        fields = {
            "format": HEAD_FORMAT,
            "lines": self.lines,
            "last": self.last.decode("ascii"),
            "public_key": base64.b64encode(self.public_key).decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }
        return json.dumps(fields).encode().ljust(COPY_BYTES - 1) + b"\n"


def genesis(study_digest: str, site: str, public_key: bytes) -> str:
    """What the first line has as the digest of the line before: the study and site for which the log was begun."""
    return canonical.digest(labels.AUDIT_LOG, study_digest, site, public_key).hex()


def make_line(
    number: int, at: datetime, direction: str, kind: str, fields: Mapping[str, int | str], previous: str
) -> Line:
    """A line; values with other than letters, digits and ``-.:/+=_`` are written as JSON strings, and long ones cut."""
    time = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    pairs = [f"{key}={_written(str(value))}" for key, value in fields.items()]
    head = f"{number:>6} {time} {direction:<8} {kind:<26}"
    return parse_line(" ".join([head, *pairs, f"previous={previous}\n"]).encode("ascii"), number)


def _written(value: str) -> str:
    return value if re.fullmatch("[-.:/+=_A-Za-z0-9]+", value) else json.dumps(value[:LONGEST_TEXT])


def parse_line(raw: bytes, place: int) -> Line:
    """The line that stands in ``place``; RefusalError when it is none."""
    if not raw.endswith(b"\n"):
        raise RefusalError(f"line {place} is cut off, or its end was changed")
    match = _LINE.fullmatch(raw)
    if match is None:
        raise RefusalError(f"line {place} is not a line of an audit log: it was changed or inserted")
    fields = {key.decode(): value.decode() for key, value in _FIELD.findall(match["fields"])}
    try:
        text = {key: json.loads(value) if value[:1] == '"' else value for key, value in fields.items()}
    except ValueError:
        raise RefusalError(f"line {place} was changed: it holds text that the program does not write") from None
    time, direction, kind, previous = (match[name].decode() for name in ("time", "direction", "kind", "previous"))
    return Line(raw, int(match["number"]), time, direction, kind, text, previous)


def sign_head(last: Line, signing: SigningIdentity) -> Head:
    """The head of a log that ends with ``last``."""
    signature = signing.sign(labels.AUDIT_HEAD, last.number, last.digest)
    return Head(last.number, last.raw, signing.public_bytes, signature)


def read_heads(content: bytes) -> tuple[Head | None, Head | None]:
    """The two copies in a head file, None for one that is not whole; RefusalError when neither is."""
    copies = _read_copy(content[:COPY_BYTES]), _read_copy(content[COPY_BYTES:])
    if copies == (None, None):
        raise RefusalError("its head is damaged: no copy of it has a valid signature")
    return copies


def _read_copy(content: bytes) -> Head | None:
    """The head that is written exactly so, with a valid signature by the key in it."""
    try:
        fields = json.loads(content)
        head = Head(
            fields["lines"],
            fields["last"].encode("ascii"),
            base64.b64decode(fields["public_key"], validate=True),
            base64.b64decode(fields["signature"], validate=True),
        )
        if type(head.lines) is not int or head.lines < 1:  # whoever has a key can sign a head, of anything
            return None
        digest = hashlib.sha256(head.last).hexdigest()
        verify("this", head.public_key, head.signature, labels.AUDIT_HEAD, head.lines, digest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, PeerError):
        return None
    return head if head.encode() == content else None


def cut_off(content: bytes, head: Head) -> bytes:
    """What a crash kept from being written: the end of the last line, empty where nothing is missing.

    Anything else that is missing is not explained by a crash, and found by ``check_log``.
    """
    whole, rest = content[: content.rfind(b"\n") + 1], content[content.rfind(b"\n") + 1 :]
    if whole.count(b"\n") == head.lines - 1 and head.last.startswith(rest):
        return head.last[len(rest) :]
    return b""


def check_log(content: bytes, head: Head) -> tuple[Line, ...]:
    """The lines of a log that nobody changed; RefusalError names the first line that is wrong, and how.

    (1) each is a line, and stands where its number says; (2) each holds the digest of the line before it, the first
    that of study, site and key; (3) they end where the head says.
    """
    lines: list[Line] = []
    raws = content.splitlines(keepends=True)
    for place, raw in enumerate(raws, 1):
        line = parse_line(raw, place)  # (1)
        if line.number != place:
            raise RefusalError(f"line {place} is numbered {line.number}: lines were deleted, inserted or moved there")
        previous = lines[-1].digest if lines else _genesis(line, head)
        if line.previous != previous:  # (2)
            raise RefusalError(f"line {_changed_line(line, raws, head)} was changed")
        lines.append(line)
    if len(lines) < head.lines:  # (3)
        raise RefusalError(f"{_range(len(lines) + 1, head.lines)} missing at its end")
    if len(lines) > head.lines:
        raise RefusalError(f"{_range(head.lines + 1, len(lines))} after its signed end: inserted")
    if lines[-1].raw != head.last:
        raise RefusalError(f"line {head.lines} was changed")
    return tuple(lines)


def _genesis(first: Line, head: Head) -> str:
    return genesis(first.fields.get("study", ""), first.fields.get("site", ""), head.public_key)


def _changed_line(line: Line, raws: list[bytes], head: Head) -> int:
    """Which of ``line`` and the one before it was changed: not ``line`` if what comes after it holds its digest."""
    vouched = raws[line.number] if line.number < len(raws) else b""
    genuine = f"previous={line.digest}\n".encode() in vouched or line.raw == head.last
    return line.number - 1 if genuine and line.number > 1 else line.number


def _range(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"
