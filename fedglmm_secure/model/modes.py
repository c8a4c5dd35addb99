"""Conditional modes: for every group at once, the v that maximises g(v) = sum_j l_j(eta_j(v)) - v'v / 2.

g is strictly concave for a canonical link, so the mode exists and is unique.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fedglmm_secure.errors import FitError
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.groups import Block
from fedglmm_secure.model.parts import TileRows
from fedglmm_secure.ring import Vector

STEP = 1e-8
"""Newton's error squares at each step: after a step this short the mode is right to the last digits of a float."""
MAX_STEPS = 200
LEAST_RISE = 1e-4
"""Of the rise that the slope promises along a step."""
ROUNDING = 1e-10
"""Relative to g."""
UNKNOWN = np.full(1, np.nan)


def conditional_modes(block: Block, family: Family, fixed: Vector, s: Matrix) -> Matrix:
    """The modes v^ of a block's groups, shape (G, q), at linear predictor fixed + s_j' v with s = Z Lambda, (n, q).

    Raises FitError if they are not found, which a finite eta does not allow.
    """
    return _climb(lambda v: _spot(block, family, fixed, s, v), np.zeros((len(block.starts), s.shape[1])))


def curvatures(block: Block, family: Family, fixed: Vector, s: Matrix, v: Matrix) -> Matrix:
    """H = -g_vv at v, shape (G, q, q): its inverse is about the covariance of v given the data (Laplace)."""
    return _spot(block, family, fixed, s, v).curvature


def modes_of_rows(rows: TileRows) -> Vector:
    """The modes v^ of a tile's groups, shape (G,), at linear predictor fixed + sigma z v: the same for q = 1."""
    (response,), sigma = rows.sums(lambda part: (part.response(),)), rows.sigma

    def spot(v: Matrix) -> _Spot:
        mean, variance = rows.sums(lambda part: part.newton_sums(v))
        return _Spot(UNKNOWN, sigma * (response - mean) - v, (1.0 + sigma**2 * variance)[:, :, None])

    return _climb(spot, np.zeros_like(response))[:, 0]


class _Spot(NamedTuple):
    """g (G,), g_v (G, q) and -g_vv (G, q, q) at one v. With one random effect g, then NaN, is not needed."""

    value: Vector
    slope: Matrix
    curvature: Matrix


def _spot(block: Block, family: Family, fixed: Vector, s: Matrix, v: Matrix) -> _Spot:
    eta = fixed + np.einsum("nq,nq->n", s, block.spread(v.T).T)
    value, first, second = family.derivatives(eta, block.y, block.weights, 2)
    return _Spot(
        block.sums(value) - 0.5 * np.sum(v * v, axis=1),
        block.sums(s.T * first).T - v,
        np.eye(s.shape[1]) - block.symmetric_sums(second, s),
    )


def _climb(spot: Callable[[Matrix], _Spot], v: Matrix) -> Matrix:
    """Newton from v (G, q), with the step of a group that went too far halved."""
    with np.errstate(over="ignore", invalid="ignore"):
        here = spot(v)
        step = _solve(here.curvature, here.slope)
        for _ in range(MAX_STEPS):
            trial = v + step
            if (np.abs(step) <= STEP * (1.0 + np.abs(v))).all():
                return trial
            there = spot(trial)
            better = _better(here, there, step)
            v = np.where(better[:, None], trial, v)
            # a far point's curvature may be singular to rounding, so that of a rejected one is not used
            curvature = np.where(better[:, None, None], there.curvature, np.eye(v.shape[1]))
            step = np.where(better[:, None], _solve(curvature, there.slope), step / 2.0)
            value = np.where(better, there.value, here.value)
            here = _Spot(value, np.where(better[:, None], there.slope, here.slope), curvature)
    raise FitError("the conditional modes of the random effects were not found: the linear predictor is out of range")


def _better(here: _Spot, there: _Spot, step: Matrix) -> npt.NDArray[np.bool_]:
    """Whether each group's step is to be kept; not where it led to NaN.

    One effect: whether g is less steep, as its slope falls all the way. Several: whether g has risen. Near the mode,
    where the digits of g say no more, the slope does.
    """
    flatter = np.asarray(_length(there.slope) < _length(here.slope))
    if step.shape[1] == 1:
        return flatter
    rise = there.value - here.value
    risen = rise >= LEAST_RISE * np.sum(here.slope * step, axis=1)
    return np.asarray(risen | (flatter & (np.abs(rise) <= ROUNDING * (1.0 + np.abs(here.value)))))


def _length(slope: Matrix) -> Vector:
    """Of each group's slope; squares would overflow where a Poisson mean does not."""
    return np.asarray(np.hypot.reduce(slope, axis=1))


def _solve(H: Matrix, slope: Matrix) -> Matrix:
    if slope.shape[1] == 1:
        return np.asarray(slope / H[:, 0])
    finite = np.asarray(np.isfinite(H).all(axis=(1, 2)))
    H = np.where(finite[:, None, None], H, np.eye(H.shape[1]))
    return np.asarray(np.linalg.solve(H, slope[:, :, None])[:, :, 0])
