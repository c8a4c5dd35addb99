"""One step of a trust-region Newton maximiser, from an eigen-decomposition of the Hessian: pure, no state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector

FLAT = 1e-12
"""A curvature below this share of the largest is none: the direction is bounded by the radius alone."""


@dataclass(frozen=True)
class Step:
    """A proposed step, the increase that the quadratic model predicts, and whether the radius held it back."""

    step: Vector
    predicted: float
    bounded: bool


def propose(gradient: Vector, hessian: Matrix, radius: float) -> Step:
    """The step s, |s| <= radius, that maximises gradient' s + s' hessian s / 2 (More and Sorensen 1983).

    Handles negative and positive curvature, and the hard case: a saddle with no gradient along its way up.
    """
    curvature, directions = np.linalg.eigh(-hessian)
    slope = directions.T @ gradient
    floor = FLAT * max(float(np.abs(curvature).max()), 1e-300)
    if curvature[0] > floor:
        step = slope / curvature
        if np.linalg.norm(step) <= radius:
            return _step(directions @ step, gradient, hessian, bounded=False)
    step = _on_boundary(curvature, slope, radius)
    return _step(directions @ step, gradient, hessian, bounded=True)


def _on_boundary(curvature: Vector, slope: Vector, radius: float) -> Vector:
    """The step of length ``radius``: slope / (curvature + shift) with shift > -smallest curvature."""

    def excess(shift: float) -> float:
        return float(np.linalg.norm(slope / (curvature + shift))) - radius

    size = max(float(np.abs(curvature).max()), float(np.linalg.norm(slope)) / radius, 1e-300)
    low = max(0.0, -float(curvature[0])) + 1e-10 * size
    if excess(low) <= 0.0:
        # the hard case: no gradient along the first direction, so go as far as the radius allows, either way
        step = slope / (curvature + low)
        rest = radius**2 - float(step @ step)
        step[0] += np.copysign(np.sqrt(max(rest, 0.0)), slope[0])
        return step
    high = low + 2.0 * float(np.linalg.norm(slope)) / radius + size
    return np.asarray(slope / (curvature + brentq(excess, low, high, rtol=1e-10)))


def _step(step: Vector, gradient: Vector, hessian: Matrix, *, bounded: bool) -> Step:
    return Step(step, float(gradient @ step + 0.5 * step @ hessian @ step), bounded)
