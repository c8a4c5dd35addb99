"""What parties keep on disk, a JSON object a line: a site's journal and the coordinator's transcript."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from fedglmm_secure.errors import FedglmmError, InputError
from fedglmm_secure.securesum.messages import Contribution, JournalRecord


def journal_line(record: JournalRecord) -> bytes:
    """One answered sum: the session, the sum, the context it was bound to, and the protected vector, as it was sent."""
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


def read_journal(content: bytes, source: str) -> tuple[JournalRecord, ...]:
    """The complete lines: one that was cut off by a crash belongs to an answer that never left.

    Raises InputError for anything that ``journal_line`` does not write.
    """
    *lines, _torn = content.split(b"\n")
    try:
        return tuple(map(_journal_record, lines))
    except (ValueError, KeyError, TypeError, FedglmmError) as error:
        raise InputError(f"{source}: is damaged; keep it, and join with another --out folder") from error


def transcript_line(time: float, site: str, message: bytes) -> str:
    """One message that the coordinator received: when (seconds), the site whose certificate it came with, the bytes."""
    return json.dumps({"time": time, "site": site, "message": base64.b64encode(message).decode()}) + "\n"


def read_transcript(text: str) -> Iterator[tuple[str, bytes]]:
    """Site and bytes of each message of a transcript."""
    for line in text.splitlines():
        fields = json.loads(line)
        yield fields["site"], base64.b64decode(fields["message"])


def _journal_record(line: bytes) -> JournalRecord:
    fields = json.loads(line)
    sent = Contribution(
        bytes.fromhex(fields["session"]),
        fields["sum"],
        fields["attempt"],
        fields["site"],
        bytes.fromhex(fields["vector"]),
    )
    return JournalRecord(bytes.fromhex(fields["context"]), sent)
