"""Exactly what a study lets a coordinator ask, and what this site's contribution to each question would be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedglmm_secure import ring
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import (
    ALL,
    TRAINING,
    VALIDATION,
    Describe,
    HeldOutLikelihood,
    MarginalDerivatives,
    Question,
    WorkingDerivatives,
)
from fedglmm_secure.securesum import Contribution
from fedglmm_secure.securesum.messages import DIGEST_BYTES
from fedglmm_secure.securesum.site import COUNT_SLOT
from fedglmm_secure.study import Study
from fedglmm_secure.wire.codec import encode_site
from fedglmm_secure.wire.terms import max_sums

_PARTS = {ALL: "all complete rows", TRAINING: "the training rows", VALIDATION: "the validation rows"}


@dataclass(frozen=True)
class Protection:
    """A protocol in words, and the bytes of a protected vector of so many numbers."""

    words: str
    size: Callable[[int], int]


def _ring_bytes(numbers: int) -> int:
    return numbers * ring.ELEMENT_BYTES


PROTECTIONS = {
    "masking": Protection(
        "masked: random numbers that cancel only in the sum over all sites are added to each number, so that the "
        "coordinator can read that sum and no site's own numbers",
        _ring_bytes,
    ),
    "plain": Protection(
        "NOT protected: the coordinator reads this site's own numbers",
        _ring_bytes,
    ),
}


@dataclass(frozen=True)
class Possible:
    """A question that may be asked, in its longest form: a design whose columns depend on each other drops some."""

    kind: str
    meaning: str
    rows: str
    sums: str
    """In which sums it may come."""
    names: tuple[str, ...]
    """What each number of a contribution is."""
    bytes: int
    """Of the message, at most."""


def possible_questions(study: Study, site: str) -> tuple[Possible, ...]:
    """Every question that ``fedglmm_secure.study.guard`` lets through for this study, and no other."""
    last = max_sums(study)
    later = "sum 2" if last == 2 else f"sums 2 to {last}"
    asked: list[tuple[Question, str, str]] = [(Describe(), ALL, "sum 1")]
    asked += [(question, part, later) for question, part in _later(study)]
    return tuple(_possible(question, part, sums, study, site) for question, part, sums in asked)


def _later(study: Study) -> list[tuple[Question, str]]:
    """The questions about the model, about all its columns."""
    layout, model = study.layout, study.model
    columns, spread = tuple(range(len(layout.columns))), Pattern(layout.blocks).size
    description = (0.0,) * len(Description.slots(layout))
    if model.method == "pql":
        return [(WorkingDerivatives((0.0,) * (len(columns) + 1 + spread), columns, description), ALL)]
    theta = (0.0,) * (len(columns) + spread)
    parts = (ALL,) if study.validation is None else (ALL, TRAINING)
    asked: list[tuple[Question, str]] = [
        (MarginalDerivatives(theta, model.nodes, columns, description, part), part) for part in parts
    ]
    if study.validation is not None and isinstance(model.penalty, tuple):
        thetas = (theta,) * len(model.penalty)
        asked.append((HeldOutLikelihood(thetas, model.nodes, columns, description), VALIDATION))
    return asked


def _possible(question: Question, part: str, sums: str, study: Study, site: str) -> Possible:
    names = (COUNT_SLOT, *question.slots(study.layout))
    vector = bytes(PROTECTIONS[study.security.protocol].size(len(names)))
    message = encode_site(Contribution(bytes(DIGEST_BYTES), max_sums(study), 0, site, vector))
    return Possible(question.kind, question.meaning, _PARTS[part], sums, names, len(message))
