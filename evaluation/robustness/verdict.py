"""What must hold of a fit however often its programs were killed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluation.robustness.hospitals import COORDINATOR, PARTIES, SITES, Hospitals
from evaluation.robustness.schedule import Course
from fedglmm_secure.errors import FedglmmError
from fedglmm_secure.securesum.messages import SumMessage
from fedglmm_secure.shell import read_identity
from fedglmm_secure.wire.codec import decode_site, encode_site
from fedglmm_secure.wire.records import read_journal, read_transcript
from fedglmm_site.audit import verify_log

Place = tuple[str, bytes, int, str]
"""Of a message in the sums: site, session, number of the sum, phase."""


@dataclass(frozen=True)
class Answer:
    """What a fit found: the sums as they are stored, bit for bit, and the estimates that stand in result.json."""

    sums: tuple[tuple[int, bytes, str, str, bytes], ...]
    """Number, question, who was asked, who is in it, and the numbers."""
    estimates: tuple[float, ...]
    log_likelihood: float

    @classmethod
    def of(cls, hospitals: Hospitals) -> Answer:
        """As the coordinator has it."""
        with sqlite3.connect(hospitals.store) as database:
            rows = database.execute(
                "SELECT number, question, participants, cohort, total FROM sums ORDER BY number"
            ).fetchall()
        database.close()
        result = json.loads((hospitals.home(COORDINATOR) / "result.json").read_text(encoding="utf-8"))
        spread = [value for effect in result["random_effects"] for value in effect["std_dev"]]
        fixed = [effect[key] for effect in result["fixed_effects"] for key in ("estimate", "std_error")]
        return cls(tuple(rows), (*fixed, *spread), result["log_likelihood"])


def violations(hospitals: Hospitals, course: Course, undisturbed: Answer) -> Iterator[str]:
    """Everything that does not hold, in words."""
    for name, code in course.codes.items():
        if code != 0:
            yield f"{name} ended with {code}" if code is not None else f"{name} did not end"
    for name in PARTIES:
        said = (hospitals.home(name) / "stderr").read_text(encoding="utf-8")
        if "Traceback" in said or "in a way it should not" in said or "Error" in said:
            yield f"{name} failed: {said.splitlines()[-1]}"
    if any(code != 0 for code in course.codes.values()):
        return
    yield from _wrong_answers(hospitals, undisturbed)
    yield from _answered_twice(hospitals)
    for site in SITES:
        yield from _faults_of_the_log(hospitals, site)
        if (hospitals.home(site) / "session.seed").exists():
            yield f"{site} kept its seed"


def _wrong_answers(hospitals: Hospitals, undisturbed: Answer) -> Iterator[str]:
    found = Answer.of(hospitals)
    if found.sums != undisturbed.sums:
        yield f"other sums: {len(found.sums)} where {len(undisturbed.sums)} are expected, or other bits"
    if (found.estimates, found.log_likelihood) != (undisturbed.estimates, undisturbed.log_likelihood):
        yield "another answer"
    result = (hospitals.home(COORDINATOR) / "result.json").read_text(encoding="utf-8")
    for site in SITES:
        if (hospitals.home(site) / "result.json").read_text(encoding="utf-8") != result:
            yield f"{site} has another result than the coordinator"
        if json.loads((hospitals.home(site) / "report.json").read_text(encoding="utf-8"))["site"] != site:
            yield f"{site} has no report"


def _answered_twice(hospitals: Hospitals) -> Iterator[str]:
    """In the journals each place has one message's bytes, and whatever the coordinator received stands in them."""
    kept: dict[Place, bytes] = {}
    for site in SITES:
        path = hospitals.home(site) / "journal.jsonl"
        for record in read_journal(path.read_bytes(), str(path)):
            for message in record.made:
                place, data = _place(message), encode_site(message)
                if kept.setdefault(place, data) != data:
                    yield f"{site} made two different messages of sum {place[2]}, {place[3]}"
    received: dict[Place, bytes] = {}
    for site, data in read_transcript(_transcript(hospitals).read_text(encoding="ascii")):
        message = decode_site(data)
        if not isinstance(message, SumMessage):
            continue
        place = _place(message)
        if received.setdefault(place, data) != data:
            yield f"{site} sent two different messages to sum {place[2]}, {place[3]}"
        if kept.get(place) != data:
            yield f"{site} sent to sum {place[2]}, {place[3]}, what is not in its journal"


def _place(message: SumMessage) -> Place:
    return message.site, message.session_id, message.number, message.phase.value


def _faults_of_the_log(hospitals: Hospitals, site: str) -> Iterator[str]:
    """The audit log is whole, signed by the site, and has every message that the coordinator received."""
    path = hospitals.home(site) / "audit.log"
    try:
        lines, head = verify_log(path, path.read_bytes())
    except FedglmmError as error:
        yield str(error)
        return
    if head.public_key != read_identity(hospitals.keys(site)).signing.public_bytes:
        yield f"{path}: is signed with another key"
    sent = {line.fields["sha256"] for line in lines if line.direction == "sent"}
    for name, data in read_transcript(_transcript(hospitals).read_text(encoding="ascii")):
        if name == site and hashlib.sha256(data).hexdigest() not in sent:
            yield f"{site} sent a message that is not in its audit log"


def _transcript(hospitals: Hospitals) -> Path:
    return hospitals.home(COORDINATOR) / "transcript.jsonl"
