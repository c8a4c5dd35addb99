"""Conditional modes: for every group at once, the v that maximises g(v) = sum_j l_j(eta_j(v)) - v^2 / 2."""

from __future__ import annotations

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.groups import Block
from fedglmm_secure.ring import Vector

STEP = 1e-8
"""Newton's error squares at each step: after a step this short the mode is right to the last digits of a float."""
MAX_STEPS = 200


def conditional_modes(block: Block, family: Family, fixed: Vector, sigma: float) -> Vector:
    """The modes v^ of a block's groups, shape (G,), at linear predictor fixed + sigma z v.

    Newton from v = 0, halving the step of each group whose g got worse. g is strictly concave for a canonical link,
    so the mode exists and is unique. Raises FitError if it is not found, which a finite eta does not allow.
    """
    z = sigma * block.z
    v = np.zeros(block.starts.shape[0])
    best, gradient, curvature = _conditional(block, family, fixed, z, v)
    step = gradient / curvature
    for _ in range(MAX_STEPS):
        trial = v + step
        value, gradient, curvature = _conditional(block, family, fixed, z, trial)
        worse = value < best - 1e-13 * np.abs(best)
        done = np.abs(step) <= STEP * (1.0 + np.abs(v))
        v = np.where(worse, v, trial)
        best = np.where(worse, best, value)
        if done.all():
            return v
        step = np.where(worse, step / 2.0, gradient / curvature)
    raise FitError("the conditional modes of the random effects were not found: the linear predictor is out of range")


def curvatures(block: Block, family: Family, fixed: Vector, sigma: float, v: Vector) -> Vector:
    """H = -g_vv at v, shape (G,): 1 / H is about the variance of v given the data (Laplace)."""
    return _conditional(block, family, fixed, sigma * block.z, v)[2]


def _conditional(block: Block, family: Family, fixed: Vector, z: Vector, v: Vector) -> tuple[Vector, Vector, Vector]:
    """g, its gradient and its negative second derivative H >= 1, a group each."""
    density, first, second = family.derivatives(fixed + z * block.spread(v), block.y, block.weights, 2)
    value = block.sums(density) - v * v / 2.0
    return value, block.sums(z * first) - v, 1.0 - block.sums(z * z * second)
