"""Anderson's acceleration of a fixed-point iteration (Anderson 1965, Journal of the ACM 12:547; Walker and Ni 2011)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector

DEPTH = 3
"""Steps looked back on: as many directions of slow convergence can be told apart."""
LARGEST_FACTOR = 20.0
"""An accelerated step is at most so many times as long as the plain one: 1 / (1 - rate) at the slowest."""
INDEPENDENT = 1e-6
"""Of the largest singular value: changes of the step below it are rounding."""


@dataclass
class Acceleration:
    """The last points of an iteration theta + step(theta), and what their steps say of where it ends."""

    points: list[tuple[Vector, Vector]] = field(default_factory=list)

    def step(self, theta: Vector, plain: Vector, curvature: Matrix) -> Vector:
        """The step from ``theta``, given the plain one.

        That combination of the last points is taken whose plain steps, combined alike, are the shortest in the metric
        of ``curvature``, a positive definite matrix.
        """
        self.points = [*self.points[-DEPTH:], (theta, plain)]
        if len(self.points) < 2:
            return plain
        thetas, steps = (np.array(values) for values in zip(*self.points, strict=True))
        moves, changes = np.diff(thetas, axis=0).T, np.diff(steps, axis=0).T
        root = np.linalg.cholesky(curvature).T
        share = np.linalg.lstsq(root @ changes, root @ plain, rcond=INDEPENDENT)[0]
        result: Vector = np.asarray(plain - (moves + changes) @ share, dtype=np.float64)
        longest = LARGEST_FACTOR * float(np.linalg.norm(root @ plain))
        return result * min(1.0, longest / max(float(np.linalg.norm(root @ result)), 1e-300))

    def forget(self) -> None:
        """Start anew: what came before says nothing of what follows."""
        self.points.clear()
