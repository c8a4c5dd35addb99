"""What this site checks before it answers a question, and which words may leave it. Pure functions.

The secure sum's own checks (session, roster, order of sums) are those of ``fedglmm_secure.securesum.site``;
here are the questions themselves and the study's disclosure limits.
"""

from __future__ import annotations

import math

import numpy as np

from fedglmm_secure.errors import FedglmmError, FitError, InputError, PeerError, RefusalError
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Layout
from fedglmm_secure.model.questions import Describe, MarginalDerivatives, Question
from fedglmm_secure.study import Study
from fedglmm_secure.study.schema import Disclosure

MARGINAL_METHODS = ("laplace", "agh")
"""The methods whose fit asks for derivatives of the marginal log-likelihood."""


def check_question(question: Question, study: Study) -> None:
    """Raise unless the study, as this site has it, allows ``question``.

    RefusalError for another method or a disclosure limit, PeerError for a question that no honest coordinator
    asks.
    """
    match question:
        case Describe():
            return
        case MarginalDerivatives():
            _check_marginal(question, study)


def check_disclosure(description: Description, layout: Layout, disclosure: Disclosure) -> None:
    """Raise RefusalError when the pooled data are too few for the study's disclosure limits.

    No outcome or covariate level may be held by more than 0 but fewer than ``minimum_cell`` rows, and there
    may be at most ``maximum_parameters_per_row`` parameters a row. The counts are those of all sites
    together.
    """
    counts = np.rint(description.level_counts)
    small = (counts > 0) & (counts < disclosure.minimum_cell)
    if small.any():
        level = layout.levels[int(np.argmax(small))]
        raise RefusalError(
            f"fewer than minimum_cell = {disclosure.minimum_cell} rows of all sites together have {level}; "
            "merge that level with another, or leave the variable out of the study"
        )
    parameters = len(layout.columns) + len(layout.terms)
    if parameters > disclosure.maximum_parameters_per_row * description.rows:
        raise RefusalError(
            f"{parameters} parameters are too many for the {description.rows:.0f} rows of all sites together "
            f"(maximum_parameters_per_row = {disclosure.maximum_parameters_per_row:g}); simplify the formula"
        )


def outward(error: FedglmmError) -> FedglmmError:
    """What may be told to others of an error at this site: nothing that its own table has a part in."""
    match error:
        case RefusalError() | PeerError():
            return error  # made of the study, pooled counts and messages only
        case InputError():
            return InputError("its own table does not fit the study; its operator has the details")
        case FitError():
            return FitError("it cannot answer the question from its own rows; its operator has the details")
        case _:
            return FedglmmError("it failed; its operator has the details")


def _check_marginal(question: MarginalDerivatives, study: Study) -> None:
    layout, model = study.layout, study.model
    if model.method not in MARGINAL_METHODS:
        raise RefusalError(
            f"the coordinator asks for {question.kind}, which the study's method {model.method!r} does not "
            "need"
        )
    if question.nodes != model.nodes:
        raise RefusalError(
            f"the coordinator asks with {question.nodes} quadrature nodes, but the study has nodes = "
            f"{model.nodes}"
        )
    columns = question.columns
    if list(columns) != sorted(set(columns)) or not columns or columns[-1] >= len(layout.columns):
        raise PeerError("the coordinator's question names columns that the study does not have, or one twice")
    if len(question.theta) != len(columns) + len(layout.terms):
        raise PeerError(
            f"the coordinator's theta has {len(question.theta)} numbers, its question needs "
            f"{len(columns) + len(layout.terms)}"
        )
    if not all(map(math.isfinite, (*question.theta, *question.description))):
        raise PeerError("the coordinator's question holds a number that is not finite")
    check_disclosure(Description.unpack(np.array(question.description), layout), layout, study.disclosure)
