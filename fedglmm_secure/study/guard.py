"""What a site checks of each question before it computes an answer: the study decides, not the coordinator."""

from __future__ import annotations

import numpy as np

from fedglmm_secure.errors import OwnRowsError, PeerError
from fedglmm_secure.model.answers import Footing
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Design
from fedglmm_secure.model.questions import (
    ALL,
    TRAINING,
    Describe,
    HeldOutLikelihood,
    MarginalDerivatives,
    Question,
    WorkingDerivatives,
)
from fedglmm_secure.study.disclosure import check_declared, check_pooled, factors
from fedglmm_secure.study.study import Study

MAX_PARAMETER = 1e6
"""In standardised units, where estimates are seldom above 5, and some hundreds for nearly collinear columns."""
SMALLEST_WEIGHT = 1e-5
"""Relative to parameters of zero: an outcome of one in 100,000 rows has about four times that."""
LARGEST_DECIDED_SHARE = 0.05
ROUNDING = 1e-6
"""Relative and absolute: far more than fixed point and summation leave."""
ROWS_PER_EFFECTIVE_ROW = 4
"""A small site need not have ``minimum_cell`` effective rows, but a quarter of its rows."""


def check_question(study: Study, question: Question, number: int, *, first: bool) -> None:
    """Raise RefusalError or PeerError unless this study lets a coordinator ask this question as sum ``number``.

    A fit describes first, once: so does the ``first`` question to a cohort, and no other. What the study alone shows to
    be too much is refused before that; the pooled disclosure limits are checked with every question after it, on the
    very description that the other sites of the same sum were told.
    """
    if isinstance(question, Describe) != first:  # (rule 17)
        raise PeerError(f"the coordinator asks to {question.kind} in sum {number}; only the first sum describes")
    check_declared(study)  # (rule 18)
    if isinstance(question, Describe):
        return
    _check_asked(study, question)  # (rule 19)
    _check_columns(study, question.columns)  # (rule 20)
    held_out = isinstance(question, HeldOutLikelihood)
    thetas = question.thetas if isinstance(question, HeldOutLikelihood) else (question.theta,)
    for theta in thetas:  # (rule 20)
        _check_parameters(study, theta, len(question.columns), isinstance(question, WorkingDerivatives))
    description = Description.unpack(np.array(question.description), study.layout)
    released = (len(thetas), "penalties") if held_out else (len(thetas[0]), "parameters")
    check_pooled(study, description, len(question.columns), *released)  # (rules 21, 22 and 23)


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


def check_footing(study: Study, at: Footing) -> None:
    """Raise OwnRowsError when a site's answer would rest on too few of its rows (rule 31).

    At parameters far from any estimate rows lose their weight, until the derivatives are few rows' own values, or
    counts of rows on one side of a plane: a coordinator who lies could single a patient out (docs/threat-model.md). So
    (1) the weight must be spread, (2) not all but vanish, and (3) hardly any row may be decided (binomial alone: a
    Poisson mean has no bound). Where weights overflow, nothing can be told of them, and nothing is answered.
    """
    few = not at.rows >= min(study.disclosure.minimum_cell, at.rows_at_zero / ROWS_PER_EFFECTIVE_ROW)  # (1)
    vanished = not at.weight >= SMALLEST_WEIGHT  # (2)
    decided = study.model.family == "binomial" and not at.far <= LARGEST_DECIDED_SHARE  # (3)
    if few or vanished or decided:  # weights that overflow give NaN, which passes none of them
        raise OwnRowsError(
            "at the parameters that the coordinator asks about, the answer would rest on too few of this site's rows; "
            "if the coordinator is trusted, look for an outlier in a covariate, or for covariates that predict the "
            "outcome almost perfectly"
        )


def check_plausible(study: Study, description: Description, own: Design) -> None:
    """Raise PeerError for a pooled description that cannot be (rule 29).

    (1) Counts are whole and not negative. (2) None is below this site's own. (3) There are no more groups than rows,
    and each row has one level of each variable. (4) No sum of squares is below this site's own, and no mean beyond the
    root of the mean square: they are the units of theta.
    """
    counts = np.concatenate([[description.rows, description.dropped, description.groups], description.level_counts])
    if not (np.isfinite(counts).all() and (counts >= 0.0).all() and (np.abs(counts - np.rint(counts)) < 1e-6).all()):
        raise PeerError(  # (1)
            "the coordinator's pooled description holds counts that are none; do not trust this coordinator"
        )
    mine = np.concatenate([[own.rows, own.dropped, own.groups], own.level_counts])
    if (mine > counts + 0.5).any():  # (2)
        raise PeerError(
            "the coordinator's pooled description counts fewer rows or groups than this site alone has; do not trust it"
        )
    if description.groups > description.rows or not _levels_add_up(study, description):  # (3)
        raise PeerError(
            "the coordinator's pooled description has counts that do not fit each other; do not trust this coordinator"
        )
    scaled = (own.x - np.array(study.layout.centre)) / np.array(study.layout.half)
    most = (1.0 + ROUNDING) * description.squares + ROUNDING
    if not (np.square(scaled).sum(axis=0) <= most).all() or not (description.sums**2 <= description.rows * most).all():
        raise PeerError(  # (4)
            "the coordinator's pooled description has sums of squares that cannot be; do not trust this coordinator"
        )


def _levels_add_up(study: Study, description: Description) -> bool:
    """Whether the rows at the levels of each variable are all rows."""
    at = 2 if study.model.trials else 0  # trials that succeeded and failed are counted first, and are no rows
    for _, levels in factors(study):
        if round(description.level_counts[at : at + levels].sum()) != round(description.rows):
            return False
        at += levels
    return True
