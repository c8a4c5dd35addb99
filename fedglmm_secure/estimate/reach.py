"""How far linear predictors go at given fixed effects: known from the first sum, at no further one.

Where many rows of a binary outcome are as good as decided, sites refuse to answer (study/guard.py). Estimates go there
when columns separate the outcome's levels, or nearly. The search stops short of it, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from fedglmm_secure.model.answers import DECIDED
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.guard import LARGEST_DECIDED_SHARE

NEAR = LARGEST_DECIDED_SHARE / 5.0
"""The share of decided rows up to which a search goes on at once: sites have other shares than all rows together."""
HALVINGS = 40


@dataclass(frozen=True)
class Reach:
    """Mean (p,) and covariance (p, p) over the pooled rows of the columns that are kept, in the units of the fit."""

    mean: Vector
    covariance: Matrix

    def decided(self, beta: Vector) -> float:
        """The share of rows whose linear predictor is beyond DECIDED, were it normally distributed."""
        centre, spread = float(self.mean @ beta), float(np.sqrt(max(float(beta @ self.covariance @ beta), 1e-300)))
        return float(ndtr((centre - DECIDED) / spread) + ndtr((-centre - DECIDED) / spread))

    def share_of_way(self, here: Vector, there: Vector) -> float | None:
        """How much of the way from beta ``here`` to ``there`` may be gone at once: all of it, or up to ``NEAR``.

        None where ``here`` is as far as that already, and ``there`` is where sites refuse.
        """
        if self.decided(there) <= NEAR:
            return 1.0
        if self.decided(here) >= 0.9 * NEAR:
            return 1.0 if self.decided(there) <= LARGEST_DECIDED_SHARE else None
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if self.decided(here + middle * (there - here)) <= NEAR else (low, middle)
        return low
