"""What a simulated site sent and received, from which its audit log is written as its own program writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from fedglmm_secure.securesum import SigningIdentity
from fedglmm_secure.study import Study
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.audit import (
    FORMAT,
    HEAD,
    LOG,
    Subject,
    genesis,
    make_line,
    message_fields,
    sign_head,
    subject,
)
from fedglmm_secure.wire.messages import CoordinatorMessage, SiteMessage


@dataclass(frozen=True)
class _Entry:
    at: datetime
    direction: str
    about: Subject
    data: Callable[[], bytes] | None = None
    """Gives the message's bytes, which are not needed before the log is written; None for a note."""


class Trail:
    """All that one site did, in order."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._entries: list[_Entry] = []

    def sent(self, message: SiteMessage) -> None:
        """The site says this."""
        self._add("sent", subject(message), partial(codec.encode_site, message))

    def received(self, message: CoordinatorMessage) -> None:
        """The site hears this."""
        self._add("received", subject(message), partial(codec.encode_coordinator, message))

    def note(self, kind: str) -> None:
        """Something happened without a message."""
        self._add("note", Subject(kind))

    def files(self, study: Study, site: str, signing: SigningIdentity) -> Mapping[str, bytes]:
        """The site's audit log and its signed head, by file name. In one process no coordinator has a certificate."""
        digest, public = study.hexdigest, signing.public_bytes
        begun = {"format": FORMAT, "site": site, "key": public.hex(), "study": digest}
        line = make_line(1, self._entries[0].at, "note", "begun", begun, genesis(digest, site, public))
        lines = [line]
        for place, entry in enumerate(self._entries, 2):
            fields: Mapping[str, int | str] = {"study": digest}
            if entry.data is not None:
                fields = message_fields(entry.data(), entry.about, digest, "-")
            line = make_line(place, entry.at, entry.direction, entry.about.kind, fields, line.digest)
            lines.append(line)
        return {LOG: b"".join(line.raw for line in lines), HEAD: 2 * sign_head(line, signing).encode()}

    def _add(self, direction: str, about: Subject, data: Callable[[], bytes] | None = None) -> None:
        self._entries.append(_Entry(datetime.now(UTC), direction, about, data))
