"""Conditional modes: for every group at once, the v that maximises g(v) = sum_j l_j(eta_j(v)) - v'v / 2.

g is strictly concave for a canonical link, so the mode exists and is unique.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.groups import Block
from fedglmm_secure.model.parts import TileRows
from fedglmm_secure.model.rows import Rows
from fedglmm_secure.model.tiles import Tile
from fedglmm_secure.ring import Vector

STEP = 1e-8
"""Newton's error squares at each step: after a step this short the mode is right to the last digits of a float."""
MAX_STEPS = 200


def conditional_modes(block: Block, family: Family, fixed: Vector, s: Matrix) -> Matrix:
    """The modes v^ of a block's groups, shape (G, q), at linear predictor fixed + s_j' v with s = Z Lambda, (n, q).

    Raises FitError if they are not found, which a finite eta does not allow.
    """
    return _climb(lambda v: _slope_and_curvature(block, family, fixed, s, v), np.zeros((len(block.starts), s.shape[1])))


def curvatures(block: Block, family: Family, fixed: Vector, s: Matrix, v: Matrix) -> Matrix:
    """H = -g_vv at v, shape (G, q, q): its inverse is about the covariance of v given the data (Laplace)."""
    return _slope_and_curvature(block, family, fixed, s, v)[1]


def scalar_modes(tile: Tile, family: Family, fixed: Matrix, sigma: float) -> Vector:
    """The modes v^ of a tile's groups, shape (G,), at linear predictor fixed + sigma z v: the same for q = 1."""
    rows = Rows(tile, family, sigma)
    rows.fixed = fixed
    return modes_of_rows(TileRows([rows], map))


def modes_of_rows(rows: TileRows) -> Vector:
    """As ``scalar_modes``, of rows at their linear predictor."""
    (response,), sigma = rows.sums(lambda part: (part.response(),)), rows.sigma

    def slope_and_curvature(v: Matrix) -> tuple[Matrix, Matrix]:
        mean, variance = rows.sums(lambda part: part.newton_sums(v))
        return sigma * (response - mean) - v, (1.0 + sigma**2 * variance)[:, :, None]

    return _climb(slope_and_curvature, np.zeros_like(response))[:, 0]


def _slope_and_curvature(block: Block, family: Family, fixed: Vector, s: Matrix, v: Matrix) -> tuple[Matrix, Matrix]:
    eta = fixed + np.einsum("nq,nq->n", s, block.spread(v.T).T)
    _, first, second = family.derivatives(eta, block.y, block.weights, 2)
    return block.sums(s.T * first).T - v, np.eye(s.shape[1]) - block.symmetric_sums(second, s)


def _climb(slope_and_curvature: Callable[[Matrix], tuple[Matrix, Matrix]], v: Matrix) -> Matrix:
    """Newton from v (G, q), given g_v (G, q) and -g_vv (G, q, q).

    The step of a group whose slope got steeper is halved: Newton's step goes down the slope's length, and unlike g the
    slope keeps its digits near the mode.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        slope, H = slope_and_curvature(v)
        step = _solve(H, slope)
        for _ in range(MAX_STEPS):
            trial = v + step
            if (np.abs(step) <= STEP * (1.0 + np.abs(v))).all():
                return trial
            new_slope, H = slope_and_curvature(trial)
            worse = ~(_length(new_slope) < _length(slope))[:, None]  # True for NaN, which a far step may give
            v, slope = np.where(worse, v, trial), np.where(worse, slope, new_slope)
            H = np.where(worse[:, :, None], np.eye(v.shape[1]), H)  # a far point's may be singular to rounding
            step = np.where(worse, step / 2.0, _solve(H, new_slope))
    raise FitError("the conditional modes of the random effects were not found: the linear predictor is out of range")


def _length(slope: Matrix) -> Vector:
    """Of each group's slope; squares would overflow where a Poisson mean does not."""
    return np.asarray(np.hypot.reduce(slope, axis=1))


def _solve(H: Matrix, slope: Matrix) -> Matrix:
    if slope.shape[1] == 1:
        return np.asarray(slope / H[:, 0])
    finite = np.asarray(np.isfinite(H).all(axis=(1, 2)))
    H = np.where(finite[:, None, None], H, np.eye(H.shape[1]))
    return np.asarray(np.linalg.solve(H, slope[:, :, None])[:, :, 0])
