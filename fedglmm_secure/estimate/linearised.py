"""Penalised quasi-likelihood as a generator of questions: dPQL's job (Luo et al. 2022), with glmmPQL's fixed point."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.acceleration import Acceleration
from fedglmm_secure.estimate.chart import Chart
from fedglmm_secure.estimate.covariance_step import covariance_step
from fedglmm_secure.estimate.newton import Asked, Maximum, Trace, separation, share_of_way
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.search import DISTANCE_TOLERANCE
from fedglmm_secure.estimate.start import Start
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.questions import Question, WorkingDerivatives
from fedglmm_secure.ring import Vector

LONGEST_STEP = 1.0
"""In standardised parameters, and of the variances as ``Model.length`` has them."""
LEAST_START = 0.1
"""Of a standard deviation relative to the residual scale: at 0 it has no slope, and the rounds would leave it there."""
WORSE = 2.0
MOST_HALVED = 3
RUNAWAY_MOVES = 6
LOST_CURVATURE = 1e-6
"""Share of beta's smallest curvature below which rounds that come to rest have found nothing: weights that vanish leave
a column without slope, too."""
CLOSE = 0.01
"""The decrement below which rounds are accelerated: further out an estimate that runs away must be seen to do so."""
AHEAD = 3.0
"""Rounds converge linearly: a step is one of several, and where they lead together is looked at."""


def fixed_point(objective: Objective, start: Start, asked: Asked, trace: Trace) -> Generator[Question, Vector, Maximum]:
    """Solve gradient(theta; linearised at theta) = 0 for theta = (beta, psi, tau).

    Each round linearises anew, at theta itself, and takes one step of the linear mixed model. No objective is being
    maximised; a step after which the decrement is more than ``WORSE`` times what it was is halved, up to
    ``MOST_HALVED`` times. The rounds converge linearly; near the end they are accelerated. Converged when the step is
    below 1e-8 standard errors, or below the root of 2 ``tolerance`` and no longer shrinking: what is left is then the
    rounding of the sums. Raises FitError when an estimate runs away, or after ``max_rounds``.
    """
    p, pattern = len(start.units.columns), Pattern(objective.layout.blocks)
    tau = start.theta[p:].copy()
    tau[pattern.diagonal] = np.maximum(tau[pattern.diagonal], LEAST_START)
    theta: Vector = np.concatenate([start.theta[:p], [1.0], tau])
    step: Vector = np.zeros_like(theta)
    halved = 0
    description = tuple(start.description.vector().tolist())
    course, acceleration = Course(p), Acceleration()
    for _ in range(asked.max_rounds):
        trial = _trial(theta, step, p, pattern)
        question = WorkingDerivatives(tuple(trial.tolist()), start.units.columns, description)
        total = yield question
        here = Derivatives.unpack(total, len(theta))
        curvature = _positive_definite(-here.hessian)
        newton: Vector = np.asarray(np.linalg.solve(curvature, here.gradient))
        decrement = abs(float(newton @ here.gradient)) / 2.0
        trace.record(question, total, None, decrement)
        if course.worse(decrement) and halved < MOST_HALVED:
            step, halved = 0.5 * step, halved + 1
            continue
        if halved or not np.array_equal(trial, theta + step):
            acceleration.forget()
        theta = trial
        course.add(theta, here, decrement)
        if course.converged(asked.tolerance, shortened=halved > 0):
            if course.has_lost_curvature:
                raise separation(objective, course.way)
            return Maximum(objective, theta, here, here)
        if course.runs_away():
            raise separation(objective, course.moves[-1])
        step, halved = _step(theta, here, newton, pattern, start), 0
        if decrement < CLOSE:
            step = acceleration.step(theta, step, curvature)
        ahead = _trial(theta, AHEAD * step, p, pattern)
        step *= min(1.0, AHEAD * share_of_way(objective, start, theta / theta[p], ahead / ahead[p]))
    raise FitError(
        f"penalised quasi-likelihood did not converge in {asked.max_rounds} rounds; raise model.max_rounds, or use "
        'method = "laplace", which maximises a likelihood'
    )


def _step(theta: Vector, here: Derivatives, newton: Vector, pattern: Pattern, start: Start) -> Vector:
    """To the top of the linear mixed model, or as far towards it as ``LONGEST_STEP`` allows."""
    step = covariance_step(Chart(pattern), theta, here, start.description.groups, LONGEST_STEP) if pattern.q else None
    return newton * min(1.0, LONGEST_STEP / float(np.linalg.norm(newton))) if step is None else step.step


def _trial(theta: Vector, step: Vector, p: int, pattern: Pattern) -> Vector:
    """theta + step, with psi at most nine tenths of the way to 0 and Lambda's diagonal non-negative."""
    result = theta + step
    result[p] = max(result[p], 0.1 * theta[p])
    result[p + 1 :] = pattern.with_positive_diagonal(result[p + 1 :])
    return result


@dataclass
class Course:
    """The accepted rounds: the decrements, how far beta went in each, the weights' curvature along that way, and the
    smallest one.
    """

    columns: int
    decrements: list[float] = field(default_factory=list)
    moves: list[Vector] = field(default_factory=list)
    curvatures: list[float] = field(default_factory=list)
    smallest: list[float] = field(default_factory=list)
    _last: Vector | None = None

    def add(self, theta: Vector, here: Derivatives, decrement: float) -> None:
        """One round; beta / psi are the model's own fixed effects."""
        p, beta = self.columns, theta[: self.columns] / theta[self.columns]
        self.decrements.append(decrement)
        self.smallest.append(float(np.linalg.eigvalsh(-here.hessian[:p, :p])[0]))
        if self._last is not None:
            move = beta - self._last
            self.moves.append(move)
            length = max(float(np.linalg.norm(move)), 1e-300)
            self.curvatures.append(-float(move @ here.hessian[:p, :p] @ move) / length**2)
        self._last = beta

    def worse(self, decrement: float) -> bool:
        """Whether this is further from the end than the last accepted round was."""
        return bool(self.decrements) and decrement > WORSE * self.decrements[-1]

    def converged(self, tolerance: float, *, shortened: bool) -> bool:
        """Whether the step is as short as it will be. After a ``shortened`` one it could still become much shorter."""
        last = self.decrements[-1]
        stalled = not shortened and len(self.decrements) > 1 and last > 0.5 * self.decrements[-2]
        return last <= DISTANCE_TOLERANCE**2 / 2.0 or (last <= tolerance and stalled)

    @property
    def has_lost_curvature(self) -> bool:
        """Whether a column of beta is known as good as not at all any more, since its rows have no weight left."""
        return bool(self.moves) and self.smallest[-1] < LOST_CURVATURE * max(self.smallest)

    @property
    def way(self) -> Vector:
        """How far beta has come in all rounds."""
        return np.asarray(np.sum(self.moves, axis=0))

    def runs_away(self) -> bool:
        """Whether beta goes on in one direction, by steps that shorten less and less, while the curvature there falls.

        Where rounds converge, each step is about the same share of the one before.
        """
        if len(self.moves) < RUNAWAY_MOVES:
            return False
        moves, curvatures = self.moves[-RUNAWAY_MOVES:], self.curvatures[-RUNAWAY_MOVES:]
        lengths = [float(np.linalg.norm(move)) for move in moves]
        return lengths[-1] > 0.8 * lengths[-2] and all(
            lengths[i] > 0.6 * lengths[i - 1]
            and float(moves[i - 1] @ moves[i]) > 0.9 * lengths[i - 1] * lengths[i]
            and curvatures[i] < 0.85 * curvatures[i - 1]
            for i in range(1, RUNAWAY_MOVES)
        )


def _positive_definite(curvature: Matrix) -> Matrix:
    """The same with its eigenvalues made positive: far out the linear mixed model need not be concave in tau."""
    values, vectors = np.linalg.eigh(curvature)
    smallest = 1e-8 * float(np.abs(values).max())
    return np.asarray((vectors * np.maximum(np.abs(values), smallest)) @ vectors.T)
