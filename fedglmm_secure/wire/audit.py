"""The audit log's format: one readable line an entry, each with the digest of the line before, and a signed head.

A chain shows every change, deletion, insertion and move, but not that lines are missing at its end. Therefore a second
file, the head, holds the number of lines and the last line itself, signed by the site. It is replaced *before* its line
is written: whatever a crash cuts off is in the head, and no line without a signature is ever valid.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fedglmm_secure import canonical
from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.securesum import SigningIdentity, labels
from fedglmm_secure.securesum.identity import verify

HEAD_FORMAT = "fedglmm-audit-head/1"
_LINE = re.compile(
    rb" *(?P<number>[1-9][0-9]*) (?P<time>[-0-9T:.]+Z) (?P<direction>sent|received|note) +(?P<kind>\S+) +"
    rb"(?P<fields>[ -~]*)previous=(?P<previous>[0-9a-f]{64})\n"
)
_FIELD = re.compile(rb'(\w+)=("(?:[^"\\]|\\.)*"|\S+) ')


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
        """The head file."""
        fields = {
            "format": HEAD_FORMAT,
            "lines": self.lines,
            "last": self.last.decode("ascii"),
            "public_key": base64.b64encode(self.public_key).decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }
        return json.dumps(fields, indent=1).encode() + b"\n"


def genesis(study_digest: str, site: str, public_key: bytes) -> str:
    """What the first line has as the digest of the line before: the study and site for which the log was begun."""
    return canonical.digest(labels.AUDIT_LOG, study_digest, site, public_key).hex()


def make_line(
    number: int, time: str, direction: str, kind: str, fields: Mapping[str, int | str], previous: str
) -> Line:
    """A line; values with anything but letters, digits, dots and dashes are written as JSON strings."""
    pairs = [
        f"{key}={value if re.fullmatch('[-.:/+=A-Za-z0-9]+', str(value)) else json.dumps(value)}"
        for key, value in fields.items()
    ]
    head = f"{number:>6} {time} {direction:<8} {kind:<12}"
    return parse_line(" ".join([head, *pairs, f"previous={previous}\n"]).encode("ascii"), number)


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


def read_head(content: bytes) -> Head:
    """The head in a file; RefusalError when it was changed."""
    try:
        fields = json.loads(content)
        head = Head(
            fields["lines"],
            fields["last"].encode("ascii"),
            base64.b64decode(fields["public_key"], validate=True),
            base64.b64decode(fields["signature"], validate=True),
        )
        digest = hashlib.sha256(head.last).hexdigest()
        verify("this", head.public_key, head.signature, labels.AUDIT_HEAD, head.lines, digest)
    except (ValueError, KeyError, TypeError, AttributeError, PeerError):
        raise RefusalError("its head is damaged or was edited: its signature is not by the key in it") from None
    if head.encode() != content:
        raise RefusalError("its head was edited: it is not written as the program writes it")
    return head


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
    for place, raw in enumerate(content.splitlines(keepends=True), 1):
        line = parse_line(raw, place)  # (1)
        if line.number != place:
            raise RefusalError(f"line {place} is numbered {line.number}: lines were deleted, inserted or moved there")
        lines.append(line)
    previous = genesis(*_begun(lines, head)) if lines else ""
    for index, line in enumerate(lines):  # (2)
        if line.previous != previous:
            raise RefusalError(_broken(lines, index, head))
        previous = line.digest
    if len(lines) < head.lines:  # (3)
        raise RefusalError(f"{_range(len(lines) + 1, head.lines)} missing at its end")
    if len(lines) > head.lines:
        raise RefusalError(f"{_range(head.lines + 1, len(lines))} after its signed end: inserted")
    if lines[-1].raw != head.last:
        raise RefusalError(f"line {head.lines} was changed")
    return tuple(lines)


def _begun(lines: list[Line], head: Head) -> tuple[str, str, bytes]:
    first = lines[0].fields
    return first.get("study", ""), first.get("site", ""), head.public_key


def _broken(lines: list[Line], index: int, head: Head) -> str:
    """Which of two lines that do not fit was changed: not the one whose own digest is vouched for."""
    after = lines[index + 1].previous if index + 1 < len(lines) else hashlib.sha256(head.last).hexdigest()
    changed = index if index > 0 and lines[index].digest == after else index + 1
    return f"line {changed} was changed"


def _range(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"
