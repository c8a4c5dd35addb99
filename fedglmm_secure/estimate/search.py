"""The state of a trust-region Newton search: the best point, the next trial, how far to go, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from fedglmm_secure.estimate.chart import Chart
from fedglmm_secure.estimate.covariance_step import covariance_step
from fedglmm_secure.estimate.trust_region import Step, Tensor, bend, decrement, follow, propose
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.ring import Vector

GRADIENT_TOLERANCE = 1e-6
DISTANCE_TOLERANCE = 1e-8
"""In standard errors: how far the estimate may be from the maximum, so that another start gives the same answer."""
FIRST_RADIUS = 2.0
"""In standardised parameters: two units of log odds for a change of one standard deviation."""
NEGLIGIBLE_SIGMA = 1e-3
"""A step to a column of Lambda below this goes to 0 itself, once: lme4 calls a fit singular below 1e-4."""
FIRST_SIGMA_STEP = 0.3
"""How far tau goes, beyond doubling, where the function is not concave: the model says which way there, not how far."""
RUNAWAY_POINTS = 4
LOST_CURVATURE = 1e-4
"""Share of beta's smallest curvature below which the rest says nothing: no honest start is so far from the maximum."""
SHORTEST_MOVE = 1e-6
"""Over less, the change of the Hessian drowns in the rounding of the sums."""
FAR = 10.0
"""In standardised parameters: odds that differ by a factor e^10 between rows one standard deviation apart."""
ROUNDING = 1e-11
"""Relative to the log-likelihood: what evaluations of it may differ by without meaning anything."""


@dataclass(frozen=True)
class Point:
    """An accepted point: Newton decrement, beta's smallest curvature, theta, and beta's move from the last one."""

    decrement: float
    curvature: float
    theta: Vector
    move: Vector

    @property
    def moved(self) -> float:
        """How far beta has come."""
        return float(np.linalg.norm(self.move))


@dataclass
class Search:
    """Maximises a function of theta = (beta, tau), which is even in the sign of each column of Lambda."""

    trial: Vector
    pattern: Pattern
    groups: float
    """How many groups there are."""
    scale_position: int | None = None
    """The entry of theta that must stay positive, if there is one."""
    binary: bool = True
    """Whether sigma may run away beside beta, as with a binary outcome. Counts hold both."""
    theta: Vector = field(init=False)
    at: Derivatives = field(init=False)
    proposed: Step | None = None
    reflected: bool = False
    """Whether the trial is the mirror image of the step's end in a column of Lambda."""
    radius: float = FIRST_RADIUS
    decrement: float = np.inf
    zero_was_tried: set[int] = field(default_factory=set)
    history: list[Point] = field(default_factory=list)
    """The accepted points."""
    third: Tensor | None = None
    """What the evaluated Hessians told of the third derivatives."""

    @property
    def _first(self) -> int:
        """Where tau begins in theta."""
        return len(self.trial) - self.pattern.size

    def consider(self, here: Derivatives) -> bool:
        """Accept the evaluated trial if the function rose about as predicted; adapt the radius."""
        move = np.zeros(self._first)
        if self.proposed is not None:
            rounding = ROUNDING * (1.0 + abs(here.value))
            length = self.proposed.length
            ratio = (here.value - self.at.value + rounding) / (self.proposed.predicted + rounding)
            if ratio < 0.25:
                self.radius = 0.5 * length if ratio > 0.0 else 0.25 * length
            elif ratio > 0.75 and self.proposed.bounded:
                self.radius = 2.0 * self.radius
            if ratio < 1e-3:
                return False
            if self.pattern.q <= 1:
                self._learn(here)
            move = (self.trial - self.theta)[: self._first]
        self.theta, self.at = self.trial, here
        self.decrement = decrement(here.gradient, here.hessian)
        in_beta = float(np.linalg.eigvalsh(-here.hessian[: self._first, : self._first])[0])
        self.history.append(Point(self.decrement, in_beta * self._spread**2, self.theta, move))
        return True

    @property
    def _spread(self) -> float:
        """What beta is measured by: the largest standard deviation of a random term, where sigma cannot run away.

        beta is then as large, and its curvature as small, as such effects make it.
        """
        if self.binary or not self.pattern.q:
            return 1.0
        return max(1.0, float(np.linalg.norm(self.pattern.factor(self.theta[self._first :]), axis=1).max()))

    def _learn(self, here: Derivatives) -> None:
        """Third derivatives from the last two evaluated points, unless a column of Lambda was reflected in between."""
        move = self.trial - self.theta
        if self.reflected or self.third is None:
            self.third = np.zeros((len(move),) * 3)
        concave = move @ here.hessian @ move < 0.0
        if not self.reflected and concave and float(np.linalg.norm(move)) > SHORTEST_MOVE:
            self.third = bend(self.third, move, self.at, here)

    def converged(self, tolerance: float) -> bool:
        """Whether the best point is the maximum. The root of twice the decrement is its distance in standard errors.

        A decrement that no longer shrinks has reached the rounding of the sums: then ``tolerance`` alone counts.
        """
        if self.decrement > tolerance:
            return False
        exact = self.decrement <= DISTANCE_TOLERANCE**2 / 2.0
        if exact and float(np.linalg.norm(self.at.gradient)) <= GRADIENT_TOLERANCE:
            return True
        previous = self.history[-2].decrement if len(self.history) > 1 else np.inf
        return previous <= tolerance and self.decrement > 0.1 * previous

    def step(self) -> None:
        """Propose the next trial."""
        if self.pattern.q > 1:
            self._try(self._covariance_step())
        elif np.isfinite(self.decrement):
            self._try(self._concave_step())
        else:
            self._try(self._step_from_zero() or self._step_to_concavity())

    def shorten(self, share: float) -> None:
        """Propose only a share of the step just proposed."""
        if self.proposed is not None and share < 1.0:
            self._try(Step.on_quadratic(share * self.proposed.step, self.at.gradient, self.at.hessian, bounded=True))

    def _try(self, proposed: Step) -> None:
        """Make the trial at the end of a step.

        Lambda is reflected to a non-negative diagonal; columns of it that become negligible are tried at exactly 0,
        once; psi goes at most nine tenths of the way to 0.
        """
        self.proposed = proposed
        first = self._first
        trial = self.theta + proposed.step
        tau = self.pattern.with_positive_diagonal(trial[first:])
        self.reflected = bool(np.any(tau != trial[first:]))
        for entries in self.pattern.trailing_columns(tau, NEGLIGIBLE_SIGMA):
            if entries[0] not in self.zero_was_tried:
                self.zero_was_tried.add(entries[0])
                tau[entries] = 0.0
        trial[first:] = tau
        if (position := self.scale_position) is not None:
            trial[position] = max(trial[position], 0.1 * self.theta[position])
        self.trial = trial

    def _covariance_step(self) -> Step:
        """With several random terms: the step in their covariance matrix, in tau where that has none."""
        step = covariance_step(Chart(self.pattern), self.theta, self.at, self.groups, self.radius)
        return step or propose(self.at.gradient, self.at.hessian, self.radius)

    def _concave_step(self) -> Step:
        """Newton's step, bounded by the radius or else corrected by third derivatives."""
        step = propose(self.at.gradient, self.at.hessian, self.radius)
        if self.third is None or step.bounded:
            return step
        return follow(step, self.at.gradient, self.at.hessian, self.third)

    def _step_from_zero(self) -> Step | None:
        """Where sigma is 0, which has no slope, and the likelihood rises on both sides of it.

        sigma leaves by a fixed length within the radius, while beta takes its own Newton step. None anywhere else.
        """
        first, gradient, hessian = self._first, self.at.gradient, self.at.hessian
        in_beta = hessian[:first, :first]
        at_zero = self.pattern.q == 1 and self.theta[-1] <= NEGLIGIBLE_SIGMA
        if not at_zero or float(np.linalg.eigvalsh(in_beta)[-1]) >= 0.0:
            return None
        beta = propose(gradient[:first], in_beta, self.radius).step
        move = np.append(beta, min(FIRST_SIGMA_STEP, self.radius))
        return Step.on_quadratic(move, gradient, hessian, bounded=True)

    def _step_to_concavity(self) -> Step:
        """Where the function is not concave: Newton's step in sigma^2 where sigma is to grow, in log sigma where it is
        to shrink.
        """
        gradient, hessian = self.at.gradient, self.at.hessian.copy()
        sigma = float(self.theta[-1]) if self.pattern.q else 0.0
        if sigma <= NEGLIGIBLE_SIGMA:
            return propose(gradient, hessian, min(self.radius, FIRST_SIGMA_STEP + sigma))
        hessian[-1, -1] -= abs(gradient[-1]) / sigma
        step = propose(gradient, hessian, min(self.radius, FIRST_SIGMA_STEP + sigma))
        relative = step.step[-1] / sigma
        grown = np.sqrt(max(1.0 + 2.0 * relative, 0.0)) if gradient[-1] > 0.0 else np.exp(relative)
        move = np.append(step.step[:-1], sigma * (float(grown) - 1.0))
        return Step.of(move, step.predicted, bounded=step.bounded)

    def runs_away(self) -> bool:
        """Whether an estimate is on its way to infinity.

        There each Newton step goes as far as the last one, gains about 1/e of what that gained, and the curvature
        along it falls by as much; anywhere else steps shrink quadratically and the curvature settles. Where sigma runs
        away as well the course is less regular: then beta is far, hardly any curvature is left, and it goes on in one
        direction. A Gaussian likelihood has a maximum.
        """
        recent = self.history[-RUNAWAY_POINTS:]
        if len(recent) < RUNAWAY_POINTS or self.scale_position is not None:
            return False
        last, most = recent[-1], max(point.curvature for point in self.history)
        far = float(np.linalg.norm((last.theta - self.history[0].theta)[: self._first])) > FAR * self._spread
        if (far and last.curvature < 0.1 * most) or 0.0 < last.curvature < LOST_CURVATURE * most:
            onward = float(last.move @ recent[-2].move) > 0.5 * last.moved * recent[-2].moved
            return onward and last.moved > 0.5 * recent[-2].moved and bool(np.isfinite(last.decrement))
        return all(
            0.2 < after.decrement / before.decrement < 0.55
            and 0.2 < after.curvature / before.curvature < 0.55
            and (after.moved > 0.6 * before.moved or before is self.history[0])
            for before, after in pairwise(recent)
        )

    @property
    def recent_move(self) -> Vector:
        """How far theta went over the last points."""
        return np.asarray(self.history[-1].theta - self.history[-RUNAWAY_POINTS].theta)
