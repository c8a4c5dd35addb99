"""A whole federated fit in one process: the sites' machines, the coordinator's, and every message as bytes.

Only the network is missing. Sites check, compute, mask and refuse as they do in their own programs; each message is
encoded and decoded as it would be for gRPC.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

import pandas as pd

from fedglmm_secure.errors import InputError
from fedglmm_secure.estimate import FitResult, estimator
from fedglmm_secure.estimate.local import local_report
from fedglmm_secure.estimate.newton import Report
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Question
from fedglmm_secure.rehearsal.source import StudySource, as_study, check_frame
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum.coordinator import Coordinator
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.messages import Contribution, Hello, JournalRecord
from fedglmm_secure.securesum.session import Policy
from fedglmm_secure.securesum.site import Site
from fedglmm_secure.study import DividableDesign, Study
from fedglmm_secure.study.guard import check_question
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire import codec, identity
from fedglmm_secure.wire.identity import Identity
from fedglmm_secure.wire.messages import Next
from fedglmm_secure.wire.terms import terms_of


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal leaves: the result, the study as it was run, and what each party kept."""

    result: FitResult
    study: Study
    """The study with throw-away identities, and the protocol that was used."""
    transcript: tuple[tuple[str, bytes], ...]
    """Every message that the coordinator received: the site and the bytes."""
    reports: Mapping[str, dict[str, object]] = field(repr=False)
    """Each site's local report."""
    journals: Mapping[str, tuple[JournalRecord, ...]] = field(repr=False)
    """Each site's answered sums."""


def rehearse(
    study: StudySource,
    tables: Mapping[str, pd.DataFrame],
    *,
    protocol: str | None = None,
    report: Report = lambda _: None,
) -> FitResult:
    """Fit a study to the tables of simulated sites, in this process, with every contribution protected.

    ``tables`` maps each site of the roster to its rows; ``protocol`` replaces the study's; ``report`` is called with
    a TraceRow after each sum. Raises InputError for a study or a table that is wrong, RefusalError when a site
    refuses, FitError when there is no answer.
    """
    return rehearse_in_memory(study, tables, protocol=protocol, report=report).result


def rehearse_in_memory(
    study: StudySource,
    tables: Mapping[str, pd.DataFrame],
    *,
    protocol: str | None = None,
    report: Report = lambda _: None,
) -> Rehearsal:
    """As ``rehearse``, with everything that the parties kept."""
    began = perf_counter()
    given = as_study(study)
    check_tables(given, tables)
    for name, table in tables.items():
        check_frame(table, f"the table of {name}")
    identities = {name: identity.generate() for name in tables}
    study = rehearsal_copy(given, identities, protocol)
    sites = {
        name: _SiteAtHand(study, study.design(tables[name], name, name), name, own.signing)
        for name, own in identities.items()
    }
    network = _Network(study, sites)
    generator = estimator(study, report)
    try:
        question = next(generator)
        while True:
            question = generator.send(network.sum(question))
    except StopIteration as end:
        fit: FitResult = end.value
    result = fit.secured(study.security.protocol, network.bytes_sent(), perf_counter() - began)
    return Rehearsal(
        result,
        study,
        tuple(network.transcript),
        {
            name: local_report(study, name, site.design, site.machine.sums, result.to_json())
            for name, site in sites.items()
        },
        {name: tuple(site.journal) for name, site in sites.items()},
    )


def check_tables(study: Study, tables: Mapping[str, object]) -> None:
    """Raise InputError unless there is one table for each site of the roster."""
    if not isinstance(tables, Mapping):
        raise InputError(f"tables is a mapping from site to table, not {type(tables).__name__}")
    roster = [site.name for site in study.sites]
    missing = sorted(set(roster) - set(tables))
    unknown = sorted(set(tables) - set(roster))
    if missing or unknown:
        wrong = " and ".join(
            [f"no table for {', '.join(missing)}"] * bool(missing)
            + [f"a table for {', '.join(unknown)}, which the study does not have"] * bool(unknown)
        )
        raise InputError(f"there is {wrong}; give one table for each of the study's sites: {', '.join(roster)}")


def rehearsal_copy(
    study: Study,
    identities: Mapping[str, Identity],
    protocol: str | None,
    coordinator_certificate: str | None = None,
) -> Study:
    """The study with throw-away identities, marked as a rehearsal of the one given."""
    if protocol not in (None, "masking", "paillier", "plain"):
        raise InputError(f"there is no protocol {protocol!r}; use masking or plain")
    copy = study.replaced(
        protocol=protocol,  # type: ignore[arg-type]
        identities={name: (own.public_key, own.certificate) for name, own in identities.items()},
        coordinator_certificate=coordinator_certificate,
        rehearsal_of=study.hexdigest,
    )
    terms_of(copy)  # what cannot be run is refused before anything starts
    return copy


class _SiteAtHand:
    """One simulated site: its rows, its machine and its journal."""

    def __init__(self, study: Study, design: DividableDesign, site: str, signing: SigningIdentity) -> None:
        # A rehearsal's sites are all the user's own: plain sums are allowed once the user names them.
        policy = Policy(allow_plain=True)
        self.design = design
        self._rows = SiteRows(study, design, site)
        self.journal: list[JournalRecord] = []
        self._study = study
        self.machine = Site(terms_of(study), signing, policy, secrets.token_bytes)

    def answer(self, message: Next) -> Contribution:
        """Check the question, compute, protect and write the journal."""
        if message.offer is not None:
            self.machine.open(message.offer)
        self.machine.receive(message.request)
        check_question(self._study, message.question, message.request.number)
        values = self._rows.answer(message.question)
        record, contribution = self.machine.answer(values, message.question.slots(self._study.layout))
        self.journal.append(record)
        return contribution


class _Network:
    """Carries each message as bytes and keeps all that reaches the coordinator."""

    def __init__(self, study: Study, sites: Mapping[str, _SiteAtHand]) -> None:
        self.transcript: list[tuple[str, bytes]] = []
        self._study, self._sites = study, sites
        self._coordinator = Coordinator(terms_of(study))
        for name, site in sites.items():
            hello = self._to_coordinator(name, site.machine.hello())
            assert isinstance(hello, Hello)  # noqa: S101  narrows the decoded union
            self._coordinator.receive_hello(hello)
        self._offer = self._coordinator.offer(secrets.token_bytes)

    def sum(self, question: Question) -> Vector:
        """The total of all sites' answers to one question."""
        numbers = len(question.slots(self._study.layout))
        request = self._coordinator.begin(questions.encode(question), numbers)
        message = Next(self._offer if request.number == 1 else None, request, question)
        for name, site in self._sites.items():
            received = codec.decode_coordinator(codec.encode_coordinator(message))
            assert isinstance(received, Next)  # noqa: S101
            contribution = self._to_coordinator(name, site.answer(received))
            assert isinstance(contribution, Contribution)  # noqa: S101
            self._coordinator.receive(contribution)
        return self._coordinator.total()

    def bytes_sent(self) -> dict[str, int]:
        """Bytes that each site sent."""
        return {name: sum(len(data) for who, data in self.transcript if who == name) for name in self._sites}

    def _to_coordinator(self, name: str, message: Hello | Contribution) -> object:
        data = codec.encode_site(message)
        self.transcript.append((name, data))
        return codec.decode_site(data)
