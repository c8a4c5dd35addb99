"""One step of a trust-region Newton maximiser, and its correction by third derivatives: pure, no state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector

Tensor = npt.NDArray[np.float64]

FLAT = 1e-12
"""A curvature below this share of the largest is none: the direction is bounded by the radius alone."""
CORRECTIONS = 3
"""Newton steps on the cubic model: its own error is larger than what is left after three."""
TRUSTED_SHARE = 0.25
"""Of the step's squared length: a correction by more than half the step is not one."""


@dataclass(frozen=True)
class Step:
    """A proposed step, the increase that its model predicts, whether the radius held it back, and how it counts it."""

    step: Vector
    predicted: float
    bounded: bool
    length: float

    @staticmethod
    def of(step: Vector, predicted: float, *, bounded: bool) -> Step:
        """A step whose length is its norm."""
        return Step(step, predicted, bounded, float(np.linalg.norm(step)))

    @staticmethod
    def on_quadratic(step: Vector, gradient: Vector, hessian: Matrix, *, bounded: bool) -> Step:
        """The same, its gain by the quadratic model."""
        return Step.of(step, float(gradient @ step + 0.5 * step @ hessian @ step), bounded=bounded)


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
            return Step.on_quadratic(directions @ step, gradient, hessian, bounded=False)
    step = _on_boundary(curvature, slope, radius)
    return Step.on_quadratic(directions @ step, gradient, hessian, bounded=True)


def decrement(gradient: Vector, hessian: Matrix) -> float:
    """What Newton's step gains by the quadratic model; infinite where that has no maximum, up to rounding."""
    curvature, directions = np.linalg.eigh(-hessian)
    if curvature[0] <= FLAT * max(float(np.abs(curvature).max()), 1e-300):
        return float("inf")
    return float(0.5 * np.sum((directions.T @ gradient) ** 2 / curvature))


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
    from scipy.optimize import brentq  # noqa: PLC0415  slow to load, and sites never need it

    return np.asarray(slope / (curvature + brentq(excess, low, high, rtol=1e-10)))


def bend(third: Tensor, move: Vector, before: Derivatives, after: Derivatives) -> Tensor:
    """The third derivative that says how the Hessian changed over the last ``move``, as near as can be to ``third``.

    Symmetric, and the least change in the metric of the curvature C after the move: with w = C m / m' C m and the
    unexplained change D, it is the sum of w_a D_bc over the three places of w, less that of (D m)_a w_b w_c, plus
    m'D m w_a w_b w_c. The change is first brought from the middle of the move to its end, by what the gradients say of
    the fourth derivative.
    """
    w = -after.hessian @ move
    w = w / float(move @ w)
    change = after.hessian - before.hessian - third @ move
    fourth = -6.0 * (after.gradient - before.gradient - 0.5 * (before.hessian + after.hessian) @ move)
    change = change + np.outer(fourth, w) + np.outer(w, fourth) - float(fourth @ move) * np.outer(w, w)
    along, ww = change @ move, np.outer(w, w)
    update = _three_places(w, change) - _three_places(along, ww) + float(move @ along) * np.multiply.outer(w, ww)
    return np.asarray(third + update)


def _three_places(vector: Vector, matrix: Matrix) -> Tensor:
    """v_a M_bc + v_b M_ac + v_c M_ab."""
    product = np.multiply.outer(vector, matrix)
    return np.asarray(product + product.transpose(1, 0, 2) + product.transpose(1, 2, 0))


def follow(step: Step, gradient: Vector, hessian: Matrix, third: Tensor) -> Step:
    """Newton's step, moved on to where gradient + H s + T s s / 2 = 0; the step itself where that is not near."""
    s = step.step
    for _ in range(CORRECTIONS):
        bent = third @ s
        jacobian = hessian + bent
        if np.linalg.eigvalsh(jacobian)[-1] >= 0.0:
            return step
        s = s - np.linalg.solve(jacobian, gradient + hessian @ s + 0.5 * bent @ s)
    apart = s - step.step
    if apart @ hessian @ apart < TRUSTED_SHARE * (step.step @ hessian @ step.step):  # both are negative
        return step
    predicted = float(gradient @ s + 0.5 * s @ hessian @ s + (third @ s @ s) @ s / 6.0)
    return Step.of(s, predicted, bounded=False)
