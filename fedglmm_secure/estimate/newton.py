"""Trust-region Newton on the log-likelihood: the estimator behind the Laplace, Gauss-Hermite and GLM methods.

Generators of questions: they yield a question, are sent the sum of all sites' answers, and return what it told. They
know nothing of networks or cryptography.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.result import TraceRow
from fedglmm_secure.estimate.search import Search
from fedglmm_secure.estimate.start import Start
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Layout
from fedglmm_secure.model.questions import ALL, Describe, MarginalDerivatives, Question, tau_names
from fedglmm_secure.ring import Vector

MOVING = 0.3
"""Share of the largest movement from which a column takes part in a separation."""
FOLLOWING = 0.1
"""Of the intercept's movement: what columns may move beside it that have no part in it."""
LARGEST_PARAMETER = 1e5
"""In standardised units."""

Report = Callable[[TraceRow], None]


class Asked(Protocol):
    """What a study's ``[model]`` says about how to fit: quadrature nodes, tolerance of the decrement, rounds."""

    @property
    def nodes(self) -> int: ...  # noqa: D102

    @property
    def tolerance(self) -> float: ...  # noqa: D102

    @property
    def max_rounds(self) -> int: ...  # noqa: D102


@dataclass
class Trace:
    """The sums of a fit so far, each reported as it comes."""

    report: Report
    rows: list[TraceRow] = field(default_factory=list)

    def record(self, question: Question, total: Vector, value: float | None = None, decrement: float = np.inf) -> None:
        """Add one sum."""
        left = decrement if np.isfinite(decrement) else None
        self.rows.append(TraceRow(len(self.rows) + 1, question.kind, len(total), value, left))
        self.report(self.rows[-1])


@dataclass(frozen=True)
class Maximum:
    """Where the objective is largest, in standardised parameters."""

    objective: Objective
    theta: Vector
    log_likelihood: Derivatives
    """Without the penalty."""
    penalised: Derivatives


def describe(layout: Layout, trace: Trace, *, has_offset: bool = False) -> Generator[Question, Vector, Start]:
    """The first sum of every fit: units, rank and start."""
    total = yield Describe()
    start = Start.read(total, layout, has_offset=has_offset)
    trace.record(Describe(), total)
    return start


def maximise(
    objective: Objective, start: Start, theta: Vector, asked: Asked, trace: Trace, part: str = ALL
) -> Generator[Question, Vector, Maximum]:
    """Maximise the objective from ``theta``, over a ``part`` of the rows (docs/mathematics.md, section 4).

    At most ``max_rounds`` times: (1) evaluate value, gradient and Hessian at theta; (2) accept it, or go back and
    shrink the radius; (3) converged when, at the very theta that was evaluated, the Newton decrement is at most
    ``tolerance``, the gradient below 1e-6 and the maximum within 1e-8 standard errors; (4) stop if an estimate runs
    away; (5) step, not at once to where rows of a binary outcome are decided.

    Raises FitError when an estimate runs away or ``max_rounds`` evaluations did not suffice.
    """
    description = tuple(start.description.vector().tolist())
    layout = objective.layout
    search = Search(
        theta,
        Pattern(layout.blocks),
        start.description.groups,
        objective.scale_position,
        binary=layout.family == "binomial",
    )
    best: Derivatives | None = None
    for _ in range(asked.max_rounds):
        question = MarginalDerivatives(
            tuple(search.trial.tolist()), asked.nodes, start.units.columns, description, part
        )
        total = yield question  # (1)
        here = Derivatives.unpack(total, len(theta))
        accepted = search.consider(objective.penalise(here, search.trial))  # (2)
        best = here if accepted or best is None else best
        trace.record(question, total, here.value, search.decrement if accepted else np.inf)
        if search.converged(asked.tolerance):  # (3)
            return Maximum(objective, search.theta, best, search.at)
        if search.runs_away():  # (4)
            raise separation(objective, search.recent_move)
        search.step()  # (5)
        _check_range(objective, search.trial)
        search.shorten(share_of_way(objective, start, search.theta, search.trial))
    raise FitError(
        f"the fit did not converge in {asked.max_rounds} rounds: {_story(trace.rows)}; "
        "raise model.max_rounds, simplify the model or check the variables' scales"
    )


def _check_range(objective: Objective, trial: Vector) -> None:
    """Raise FitError for parameters out of all reach: nothing in the data holds them."""
    if np.abs(trial).max() > LARGEST_PARAMETER:
        names = (*(objective.layout.columns[i] for i in objective.units.columns), *tau_names(objective.layout))
        raise FitError(
            f"the estimate of {names[int(np.abs(trial).argmax())]} leaves every range: the data do not determine it; "
            "check that the variables of the random terms vary within groups, or simplify them"
        )


def share_of_way(objective: Objective, start: Start, here: Vector, there: Vector) -> float:
    """How much of a step may be gone at once (``Reach``); FitError where it leads to where sites refuse to answer.

    ``here`` and ``there`` begin with the model's fixed effects.
    """
    p = len(objective.units.columns)
    share = 1.0 if start.reach is None else start.reach.share_of_way(here[:p], there[:p])
    if share is not None:
        return share
    names = _moving_columns(objective, there - here)
    raise FitError(
        f"the estimate of {', '.join(names)} grows until the outcome is as good as certain in many rows, where sites "
        "refuse to answer: these columns separate the outcome's levels, or nearly; leave them out, merge rare levels, "
        f"or {_penalty(objective)}"
    )


def separation(objective: Objective, move: Vector) -> FitError:
    """The error for estimates on their way to infinity, of which ``move`` (standardised, beta first) is a part."""
    names = ", ".join(_moving_columns(objective, move))
    return FitError(
        f"the estimate of {names} grows without limit: these columns separate the outcome's levels (perfectly predict "
        f"it in some rows); leave them out, merge rare levels, or {_penalty(objective)}"
    )


def _penalty(objective: Objective) -> str:
    """What to do against estimates without limit; penalised quasi-likelihood takes no penalty."""
    return 'use method = "laplace" and set model.penalty' if objective.working else "set model.penalty"


def _moving_columns(objective: Objective, move: Vector) -> list[str]:
    """The columns that move most. The intercept moves with any of them: FitError where hardly another one does."""
    columns, intercept = objective.units.columns, objective.units.intercept
    moved = np.abs(move)[: len(columns)]
    others = np.where([column == intercept for column in columns], 0.0, moved)
    if others.max() < FOLLOWING * moved.max():
        raise FitError(_only_the_intercept(objective.layout))
    return [
        objective.layout.columns[column]
        for column, far in zip(columns, others > MOVING * others.max(), strict=True)
        if far
    ]


def _only_the_intercept(layout: Layout) -> str:
    """What it means that the intercept runs away alone; uncorrelated slopes far from 0 can look like it."""
    slopes = ", ".join(term for term in layout.terms if term != "Intercept")
    if not slopes:
        return "the outcome is the same in every row, or nearly: there is nothing to estimate"
    return (
        "the intercept grows without limit and no other column's estimate does: either the outcome is the same in "
        f"every row, or nearly, or the variable of a random slope ({slopes}) lies far from 0; subtract its mean from "
        "it, or let intercepts and slopes correlate, as in (1 + x | g)"
    )


def _story(rows: list[TraceRow]) -> str:
    values = [row.log_likelihood for row in rows if row.log_likelihood is not None]
    decrement = next((row.decrement for row in reversed(rows) if row.decrement is not None), float("inf"))
    return (
        f"the log-likelihood went from {values[0]:.6g} to {values[-1]:.6g} and the last Newton decrement was "
        f"{decrement:.2g}"
    )
