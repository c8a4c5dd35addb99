"""Trust-region Newton on the marginal log-likelihood: the estimator behind the Laplace and Gauss-Hermite methods.

A generator of questions: it yields a question, is sent the sum of all sites' answers, and returns the maximum. It knows
nothing of networks or cryptography.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.result import TraceRow
from fedglmm_secure.estimate.start import Start
from fedglmm_secure.estimate.trust_region import Step, propose
from fedglmm_secure.model.answers import unpack_symmetric
from fedglmm_secure.model.design import Layout
from fedglmm_secure.model.quadrature import Derivatives
from fedglmm_secure.model.questions import Describe, MarginalDerivatives, Question
from fedglmm_secure.ring import Vector

GRADIENT_TOLERANCE = 1e-6
DISTANCE_TOLERANCE = 1e-8
"""In standard errors: how far the estimate may be from the maximum, so that another start gives the same answer."""
FIRST_RADIUS = 2.0
"""In standardised parameters: two units of log odds for a change of one standard deviation."""
NEGLIGIBLE_SIGMA = 1e-3
"""A step to a sigma below this goes to 0 itself, once: lme4 calls a fit singular below 1e-4."""
RUNAWAY_POINTS = 5
ROUNDING = 1e-11
"""Relative to the log-likelihood: what evaluations of it may differ by without meaning anything."""


Report = Callable[[TraceRow], None]


@dataclass(frozen=True)
class Maximum:
    """Where the likelihood is largest, in standardised parameters, with its derivatives there."""

    start: Start
    theta: Vector
    derivatives: Derivatives
    trace: tuple[TraceRow, ...]


def marginal_newton(
    layout: Layout, nodes: int, tolerance: float, max_rounds: int, report: Report
) -> Generator[Question, Vector, Maximum]:
    """Maximise the marginal log-likelihood with ``nodes`` quadrature nodes (docs/mathematics.md, section 4).

    (1) Describe: one sum for units, rank and start. Then, at most ``max_rounds`` times:
    (2) evaluate value, gradient and Hessian at theta; (3) accept it, or go back and halve the radius;
    (4) converged when, at the very theta that was evaluated, the Newton decrement is at most ``tolerance``, the
    gradient below 1e-6 and the maximum within 1e-8 standard errors; (5) stop if an estimate runs away; (6) step.

    Raises FitError when an estimate runs away or ``max_rounds`` evaluations did not suffice.
    """
    trace: list[TraceRow] = []

    def record(question: Question, total: Vector, value: float | None = None, decrement: float = np.inf) -> None:
        left = decrement if np.isfinite(decrement) else None
        trace.append(TraceRow(len(trace) + 1, question.kind, len(total), value, left))
        report(trace[-1])

    total = yield Describe()
    start = Start.read(total, layout)  # (1)
    record(Describe(), total)
    description = tuple(start.description.vector().tolist())
    search = _Search(start.theta)
    for _ in range(max_rounds):
        question = MarginalDerivatives(tuple(search.trial.tolist()), nodes, start.units.columns, description)
        total = yield question  # (2)
        accepted = search.consider(_unpack(total, len(search.trial)))  # (3)
        record(question, total, search.last_value, search.decrement if accepted else np.inf)
        if search.converged(tolerance):  # (4)
            return Maximum(start, search.theta, search.at, tuple(trace))
        if search.runs_away():  # (5)
            raise _separation(layout, start, search)
        search.step()  # (6)
    raise FitError(
        f"the fit did not converge in {max_rounds} rounds: {_story(trace)}; "
        "raise model.max_rounds, simplify the model or check the variables' scales"
    )


@dataclass
class _Search:
    """The best point so far, the point to evaluate next, and how far to go."""

    trial: Vector
    theta: Vector = field(init=False)
    at: Derivatives = field(init=False)
    proposed: Step | None = None
    radius: float = FIRST_RADIUS
    last_value: float = -np.inf
    decrement: float = np.inf
    has_tried_zero: bool = False
    history: list[tuple[float, float, Vector]] = field(default_factory=list)
    """Decrement, smallest curvature and theta of each accepted point."""

    def consider(self, here: Derivatives) -> bool:
        """Accept the evaluated trial if the likelihood rose about as predicted; adapt the radius."""
        self.last_value = here.value
        if self.proposed is not None:
            rounding = ROUNDING * (1.0 + abs(here.value))
            length = float(np.linalg.norm(self.proposed.step))
            ratio = (here.value - self.at.value + rounding) / (self.proposed.predicted + rounding)
            if ratio < 0.25:
                self.radius = 0.5 * length if ratio > 0.0 else 0.25 * length
            elif ratio > 0.75 and self.proposed.bounded:
                self.radius = 2.5 * self.radius
            if ratio < 1e-3:
                return False
        self.theta, self.at = self.trial, here
        newton = propose(here.gradient, here.hessian, np.inf) if self.smallest_curvature > 0.0 else None
        self.decrement = newton.predicted if newton else np.inf
        self.history.append((self.decrement, self.smallest_curvature, self.theta))
        return True

    def converged(self, tolerance: float) -> bool:
        """Whether the best point is the maximum. The root of twice the decrement is its distance in standard errors.

        A decrement that no longer shrinks has reached the rounding of the sums: then ``tolerance`` alone counts.
        """
        if self.decrement > tolerance or float(np.linalg.norm(self.at.gradient)) > GRADIENT_TOLERANCE:
            return False
        at_rounding = len(self.history) > 1 and self.history[-2][0] <= tolerance and self.proposed is not None
        return self.decrement <= DISTANCE_TOLERANCE**2 / 2.0 or (
            at_rounding and self.decrement > 0.1 * self.history[-2][0]
        )

    @property
    def smallest_curvature(self) -> float:
        """Smallest eigenvalue of the negative Hessian at the best point."""
        return float(np.linalg.eigvalsh(-self.at.hessian)[0])

    def step(self) -> None:
        """Propose the next trial. The likelihood is even in sigma, so a negative one is reflected."""
        self.proposed = propose(self.at.gradient, self.at.hessian, self.radius)
        self.trial = self.theta + self.proposed.step
        self.trial[-1] = abs(self.trial[-1])
        if self.trial[-1] < NEGLIGIBLE_SIGMA and not self.has_tried_zero:
            self.has_tried_zero = True
            self.trial[-1] = 0.0

    def runs_away(self) -> bool:
        """Whether an estimate is on its way to infinity.

        There each Newton step gains about 1/e of the last one's while the curvature along it falls by as much;
        anywhere else gains shrink quadratically and the curvature settles.
        """
        recent = self.history[-RUNAWAY_POINTS:]
        return len(recent) == RUNAWAY_POINTS and all(
            0.1 < after[0] / before[0] < 0.7 and after[1] < 0.7 * before[1] for before, after in pairwise(recent)
        )


def _unpack(total: Vector, P: int) -> Derivatives:
    return Derivatives(float(total[0]), total[1 : P + 1], unpack_symmetric(total[P + 1 :], P))


def _separation(layout: Layout, start: Start, search: _Search) -> FitError:
    (*_, before), (*_, now) = search.history[-RUNAWAY_POINTS], search.history[-1]
    moved = np.abs(now - before)[:-1]
    names = [
        layout.columns[column]
        for column, distance in zip(start.units.columns, moved, strict=True)
        if distance > 0.3 * moved.max()
    ]
    return FitError(
        f"the estimate of {', '.join(names)} grows without limit: these columns separate the outcome's levels "
        "(perfectly predict it in some rows); leave them out, merge rare levels, or use a penalty"
    )


def _story(trace: list[TraceRow]) -> str:
    rows = [row for row in trace if row.log_likelihood is not None]
    first, last = rows[0], rows[-1]
    return (
        f"the log-likelihood went from {first.log_likelihood:.6g} to {last.log_likelihood:.6g} and the last Newton "
        f"decrement was {last.decrement:.2g}"
    )
