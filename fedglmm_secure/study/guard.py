"""What a site checks of each question before it computes an answer: the study decides, not the coordinator."""

from __future__ import annotations

import numpy as np

from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.model.answers import part_of
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Layout
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
from fedglmm_secure.study.schema import Disclosure
from fedglmm_secure.study.study import Study

MAX_PARAMETER = 1e6
"""In standardised units, where estimates are seldom above 5, and some hundreds for nearly collinear columns."""
ROWS_PER_EFFECTIVE_ROW = 4
"""A small site need not have ``minimum_cell`` effective rows, but a quarter of its rows."""
_REMEDY = {"parameters": "covariates", "penalties": "penalties, or a larger validation.fraction"}


def check_question(study: Study, question: Question, number: int) -> None:
    """Raise RefusalError or PeerError unless this study lets a coordinator ask this question as sum ``number``.

    A fit describes first, once. The pooled disclosure limits are checked with every question after that: before any
    derivative is computed, and on the very description that the other sites of the same sum were told.
    """
    if isinstance(question, Describe) != (number == 1):
        raise PeerError(f"the coordinator asks to {question.kind} in sum {number}; only the first sum describes")
    if isinstance(question, Describe):
        return
    _check_asked(study, question)
    _check_columns(study, question.columns)
    held_out = isinstance(question, HeldOutLikelihood)
    thetas = question.thetas if isinstance(question, HeldOutLikelihood) else (question.theta,)
    for theta in thetas:
        _check_parameters(study, theta, len(question.columns), isinstance(question, WorkingDerivatives))
    description = Description.unpack(np.array(question.description), study.layout)
    check_cells(description, study.layout, study.disclosure)
    rows = description.rows * _share(study, part_of(question))
    check_rows(len(thetas) if held_out else len(thetas[0]), "penalties" if held_out else "parameters", rows, study)


def _check_asked(study: Study, question: Question) -> None:
    """The study's method, nodes and penalty call for this question."""
    model, validates = study.model, study.validation is not None
    match question:
        case WorkingDerivatives():
            asked, nodes = model.method == "pql", model.nodes
        case MarginalDerivatives(part=part, nodes=nodes):
            asked = model.method != "pql" and (part == ALL or (part == TRAINING and validates))
        case HeldOutLikelihood(thetas=thetas, nodes=nodes):
            asked = validates and isinstance(model.penalty, tuple) and 0 < len(thetas) <= len(model.penalty)
        case _:
            asked, nodes = False, model.nodes
    if not asked:
        raise PeerError(
            f'the coordinator asks for {question.kind}, which this study of method = "{model.method}" does not need; '
            "do not trust this coordinator"
        )
    if nodes != model.nodes:
        raise PeerError(
            f"the coordinator asks for {nodes} quadrature nodes where the study says {model.nodes}; "
            "do not trust this coordinator"
        )


def _check_columns(study: Study, columns: tuple[int, ...]) -> None:
    known = len(study.layout.columns)
    if not columns or list(columns) != sorted(set(columns)) or columns[0] < 0 or columns[-1] >= known:
        raise PeerError("the coordinator asks for columns that the study does not have; do not trust this coordinator")


def _check_parameters(study: Study, theta: tuple[float, ...], columns: int, scaled: bool) -> None:
    """``scaled`` parameters hold an inverse scale psi after beta; what counts is then beta / psi."""
    parameters = columns + scaled + Pattern(study.layout.blocks).size
    if len(theta) != parameters:
        raise PeerError(f"the coordinator sends {len(theta)} parameters for a model of {parameters}")
    psi = theta[columns] if scaled else 1.0
    beta_within = all(abs(value) <= MAX_PARAMETER * psi for value in theta[:columns])
    if not (psi > 0.0 and beta_within and all(abs(value) <= MAX_PARAMETER for value in theta[columns:])):
        raise PeerError(
            f"the coordinator asks for derivatives at parameters above {MAX_PARAMETER:g} standardised units; "
            "do not trust this coordinator"
        )


def _share(study: Study, part: str) -> float:
    """The share of all rows that is expected in a part."""
    fraction = study.validation.fraction if study.validation is not None else 0.0
    return {ALL: 1.0, TRAINING: 1.0 - fraction, VALIDATION: fraction}[part]


def check_effective_rows(study: Study, effective: float, rows: int) -> None:
    """Raise RefusalError when a site's answer would rest on too few of its ``rows``.

    At parameters far from any estimate all but a few rows lose their weight, and the derivatives are those rows' own
    values: a coordinator who lies could single a patient out of the sum (docs/threat-model.md).
    """
    if effective < min(study.disclosure.minimum_cell, rows / ROWS_PER_EFFECTIVE_ROW):
        raise RefusalError(
            "at the parameters that the coordinator asks about, the answer would rest on too few of this site's rows; "
            "if the coordinator is trusted, look for an outlier in a covariate"
        )


def check_cells(description: Description, layout: Layout, disclosure: Disclosure) -> None:
    """Raise RefusalError for a non-empty cell of the outcome or of a covariate level below ``minimum_cell``."""
    if description.rows < 1:
        raise RefusalError("the pooled tables hold no complete row; there is nothing to fit")
    for level, count in zip(layout.levels, description.level_counts.tolist(), strict=True):
        if 0 < round(count) < disclosure.minimum_cell:
            raise RefusalError(
                f"{level} occurs in fewer than minimum_cell = {disclosure.minimum_cell} rows of the pooled data; "
                "merge this level with another, or leave the variable out"
            )


def check_rows(count: int, what: str, rows: float, study: Study) -> None:
    """Raise RefusalError when ``rows`` are too few, by ``maximum_parameters_per_row``, for what would be released."""
    limit = study.disclosure.maximum_parameters_per_row
    if count > limit * rows:
        raise RefusalError(
            f"the model has {count} {what} for {rows:.0f} pooled rows, more than "
            f"maximum_parameters_per_row = {limit:g} allows; use fewer {_REMEDY[what]}"
        )
