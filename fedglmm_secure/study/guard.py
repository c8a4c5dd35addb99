"""What a site checks of each question before it computes an answer: the study decides, not the coordinator."""

from __future__ import annotations

import numpy as np

from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Layout
from fedglmm_secure.model.questions import Describe, MarginalDerivatives, Question
from fedglmm_secure.study.schema import Disclosure
from fedglmm_secure.study.study import Study

MAX_PARAMETER = 30.0
"""In standardised units, where estimates are seldom above 5. Far out, all but a few rows lose their weight in the
derivatives, so that a coordinator who lies could single rows out (docs/threat-model.md)."""


def check_question(study: Study, question: Question, number: int) -> None:
    """Raise RefusalError or PeerError unless this study lets a coordinator ask this question as sum ``number``.

    A fit describes first, once. The pooled disclosure limits are checked with every question after that: before any
    derivative is computed, and on the very description that the other sites of the same sum were told.
    """
    if isinstance(question, Describe) != (number == 1):
        raise PeerError(f"the coordinator asks to {question.kind} in sum {number}; only the first sum describes")
    match question:
        case Describe():
            return
        case MarginalDerivatives():
            _check_parameters(study, question)
            description = Description.unpack(np.array(question.description), study.layout)
            check_disclosure(description, study.layout, study.disclosure, len(question.theta))


def _check_parameters(study: Study, question: MarginalDerivatives) -> None:
    layout = study.layout
    if question.nodes != study.model.nodes:
        raise PeerError(
            f"the coordinator asks for {question.nodes} quadrature nodes where the study says {study.model.nodes}; "
            "do not trust this coordinator"
        )
    columns = question.columns
    if not columns or list(columns) != sorted(set(columns)) or columns[0] < 0 or columns[-1] >= len(layout.columns):
        raise PeerError("the coordinator asks for columns that the study does not have; do not trust this coordinator")
    parameters = len(columns) + len(layout.terms)
    if len(question.theta) != parameters:
        raise PeerError(f"the coordinator sends {len(question.theta)} parameters for a model of {parameters}")
    if not all(abs(value) <= MAX_PARAMETER for value in question.theta):
        raise PeerError(
            f"the coordinator asks for derivatives at parameters above {MAX_PARAMETER:g} standardised units, where "
            "single rows could be told apart; do not trust this coordinator"
        )


def check_disclosure(description: Description, layout: Layout, disclosure: Disclosure, parameters: int) -> None:
    """Raise RefusalError when the pooled data are too few for what would be released.

    (1) no non-empty cell of the outcome or of a covariate level below ``minimum_cell``; (2) not more parameters than
    ``maximum_parameters_per_row`` allows.
    """
    if description.rows < 1:
        raise RefusalError("the pooled tables hold no complete row; there is nothing to fit")
    for level, count in zip(layout.levels, description.level_counts.tolist(), strict=True):
        if 0 < round(count) < disclosure.minimum_cell:  # (1)
            raise RefusalError(
                f"{level} occurs in fewer than minimum_cell = {disclosure.minimum_cell} rows of the pooled data; "
                "merge this level with another, or leave the variable out"
            )
    if parameters > disclosure.maximum_parameters_per_row * description.rows:  # (2)
        raise RefusalError(
            f"the model has {parameters} parameters for {description.rows:.0f} pooled rows, more than "
            f"maximum_parameters_per_row = {disclosure.maximum_parameters_per_row:g} allows; use fewer covariates"
        )
