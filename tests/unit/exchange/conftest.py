"""A small fit in one process: three or more sites' parties with tables of their own, and a conductor."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure.exchange import Conductor, Party
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import Describe, MarginalDerivatives, Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import JournalRecord, Phase, Policy, Seed, SigningIdentity, Site
from fedglmm_secure.securesum.seed import SEED_BYTES
from fedglmm_secure.study import Study
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire import codec, identity
from fedglmm_secure.wire.messages import CoordinatorMessage, Finished, SiteMessage, Stopped, Wait
from fedglmm_secure.wire.terms import terms_of

NAMES = ("a", "b", "c", "d", "e")
IDENTITIES = {name: identity.generate() for name in NAMES}
ROWS = 40


def study_of(names: tuple[str, ...], model: dict[str, object], **security: object) -> Study:
    study = Study.from_dict(
        {
            "study": {"id": "small"},
            "model": {"formula": "y ~ age + (1 | site)", "family": "binomial", **model},
            "variables": {
                "y": {"type": "binary", "levels": [0, 1]},
                "age": {"type": "numeric", "range": [0, 100]},
            },
            "security": {"protocol": "masking", **security},
            "sites": [{"name": name} for name in names],
        },
        "small.toml",
    )
    public = {name: (IDENTITIES[name].public_key, IDENTITIES[name].certificate) for name in names}
    return study.replaced(protocol=None, identities=public, coordinator_certificate=None, rehearsal_of=study.hexdigest)


@dataclass
class Result:
    """What the fit of these tests comes to: the totals that it got."""

    totals: list[Vector]
    excluded: tuple[str, ...] = ()

    def without(self, excluded: tuple[str, ...], _sums: int) -> Result:
        return Result(self.totals, excluded)


def asking(study: Study, sums: int) -> Callable[[], Generator[Question, Vector, Result]]:
    """A fit that describes and then asks for derivatives at given parameters, ``sums`` questions in all."""

    def fit() -> Generator[Question, Vector, Result]:
        totals = [(yield Describe())]
        description = tuple(totals[0][: len(Description.slots(study.layout))].tolist())
        for step in range(sums - 1):
            theta = (0.1 * step, 0.0, 0.5)
            totals.append((yield MarginalDerivatives(theta, study.model.nodes, (0, 1), description)))
        return Result(totals)

    return fit


@dataclass
class Patient:
    """A site that can be killed: its party, its journal and what it would send."""

    name: str
    study: Study
    seed: Seed
    signing: SigningIdentity
    journal: list[JournalRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.machine = Site(terms_of(self.study), self.signing, Policy(), self.seed, randomness=secrets.token_bytes)
        self.party = Party(self.study, self.rows(), self.machine, lambda record: self.keep(record))  # noqa: PLW0108  tests replace it
        self.message: SiteMessage = self.party.begin(tuple(self.journal))

    def keep(self, record: JournalRecord) -> None:
        self.journal.append(record)

    def rows(self) -> SiteRows:
        rng = np.random.default_rng(NAMES.index(self.name))
        table = pd.DataFrame({"y": rng.integers(0, 2, ROWS), "age": rng.integers(20, 90, ROWS)})
        return SiteRows(self.study, self.study.design(table, self.name, f"{self.name}.csv"), self.name)


@dataclass
class Ward:
    """A conductor and its sites; ``kept`` is what the conductor stored."""

    study: Study
    conductor: Conductor
    sites: dict[str, Patient]
    kept: list[Result]
    said: list[str]

    def send(self, name: str) -> CoordinatorMessage | None:
        """The conductor's answer to what the site has to say."""
        message = codec.decode_site(codec.encode_site(self.sites[name].message))
        self.conductor.take(message)
        answer = self.conductor.following(message)
        return None if answer is None else codec.decode_coordinator(codec.encode_coordinator(answer))

    def round(self, *silent: str) -> dict[str, CoordinatorMessage | None]:
        """Every site but the silent ones sends, and takes what it is answered."""
        speaking = [name for name in self.sites if name not in silent]
        for name in speaking:
            self.send(name)
        answers = {name: self.send(name) for name in speaking}  # again, now that all have sent
        for name, answer in answers.items():
            if answer is not None and not isinstance(answer, Wait | Finished | Stopped):
                self.sites[name].message = self.sites[name].party.reply(answer)
        return answers

    def run(self, *silent: str) -> Finished | Stopped:
        """To the end; when nothing moves any more, the conductor goes on without those it waits for."""
        for _ in range(200):
            if self.conductor.end is not None:
                return self.conductor.end
            before = [site.message for site in self.sites.values()]
            self.round(*silent)
            if before == [site.message for site in self.sites.values()] and self.conductor.end is None:
                self.conductor.lose()
        raise AssertionError("the fit does not come to an end")

    def until(self, phase: Phase) -> None:
        """Until every site has made its message of a phase, which has not been sent."""
        for _ in range(200):
            if all(getattr(site.message, "phase", None) is phase for site in self.sites.values()):
                return
            self.round()
        raise AssertionError(f"the fit does not come to {phase}")


@pytest.fixture
def ward() -> Callable[..., Ward]:
    def make(
        names: tuple[str, ...] = NAMES[:3],
        sums: int = 1,
        fit: object = None,
        model: dict[str, object] = {},  # noqa: B006  only read
        **security: object,
    ) -> Ward:
        study, kept, said = study_of(names, model, **security), [], []
        conductor = Conductor(
            study,
            fit or asking(study, sums),  # type: ignore[arg-type]
            randomness=secrets.token_bytes,
            keep=lambda result: kept.append(result) or "{}",  # type: ignore[arg-type, func-returns-value]
            say=said.append,
        )
        sites = {
            name: Patient(name, study, Seed(secrets.token_bytes(SEED_BYTES)), IDENTITIES[name].signing)
            for name in names
        }
        return Ward(study, conductor, sites, kept, said)

    return make
