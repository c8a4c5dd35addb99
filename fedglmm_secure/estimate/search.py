"""The state of a trust-region Newton search: the best point, the next trial, how far to go, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from fedglmm_secure.estimate.trust_region import Step, propose
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
RUNAWAY_POINTS = 5
ROUNDING = 1e-11
"""Relative to the log-likelihood: what evaluations of it may differ by without meaning anything."""


@dataclass
class Search:
    """Maximises a function of theta = (beta, tau), which is even in the sign of each column of Lambda."""

    trial: Vector
    pattern: Pattern
    scale_position: int | None = None
    """The entry of theta that must stay positive, if there is one."""
    theta: Vector = field(init=False)
    at: Derivatives = field(init=False)
    proposed: Step | None = None
    radius: float = FIRST_RADIUS
    decrement: float = np.inf
    zero_was_tried: set[int] = field(default_factory=set)
    history: list[tuple[float, float, Vector]] = field(default_factory=list)
    """Decrement, smallest curvature and theta of each accepted point."""

    def consider(self, here: Derivatives) -> bool:
        """Accept the evaluated trial if the function rose about as predicted; adapt the radius."""
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
        smallest = float(np.linalg.eigvalsh(-here.hessian)[0])
        self.decrement = propose(here.gradient, here.hessian, np.inf).predicted if smallest > 0.0 else np.inf
        self.history.append((self.decrement, smallest, self.theta))
        return True

    def converged(self, tolerance: float) -> bool:
        """Whether the best point is the maximum. The root of twice the decrement is its distance in standard errors.

        A decrement that no longer shrinks has reached the rounding of the sums: then ``tolerance`` alone counts.
        """
        if self.decrement > tolerance:
            return False
        exact = self.decrement <= DISTANCE_TOLERANCE**2 / 2.0
        if exact and float(np.linalg.norm(self.at.gradient)) <= GRADIENT_TOLERANCE:
            return True
        previous = self.history[-2][0] if len(self.history) > 1 else np.inf
        return previous <= tolerance and self.decrement > 0.1 * previous

    def step(self) -> None:
        """Propose the next trial.

        Lambda is reflected to a non-negative diagonal; a column of it that becomes negligible is tried at exactly 0, once;
        a positive entry goes at most nine tenths of the way to 0.
        """
        self.proposed = propose(self.at.gradient, self.at.hessian, self.radius)
        trial = self.theta + self.proposed.step
        first = len(trial) - self.pattern.size
        tau = self.pattern.with_positive_diagonal(trial[first:])
        for column in range(self.pattern.q):
            entries = self.pattern.entries[1] == column
            if np.abs(tau[entries]).max() < NEGLIGIBLE_SIGMA and column not in self.zero_was_tried:
                self.zero_was_tried.add(column)
                tau[entries] = 0.0
        trial[first:] = tau
        if (position := self.scale_position) is not None:
            trial[position] = max(trial[position], 0.1 * self.theta[position])
        self.trial = trial

    def runs_away(self) -> bool:
        """Whether an estimate is on its way to infinity.

        There each Newton step gains about 1/e of the last one's while the curvature along it falls by as much;
        anywhere else gains shrink quadratically and the curvature settles.
        """
        recent = self.history[-RUNAWAY_POINTS:]
        return len(recent) == RUNAWAY_POINTS and all(
            0.1 < after[0] / before[0] < 0.7 and after[1] < 0.7 * before[1] for before, after in pairwise(recent)
        )

    @property
    def recent_move(self) -> Vector:
        """How far theta went over the last points."""
        return np.asarray(self.history[-1][2] - self.history[-RUNAWAY_POINTS][2])
