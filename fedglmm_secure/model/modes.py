"""Conditional modes: for every group at once, the v that maximises g(v) = sum_j l_j(eta_j(v)) - v'v / 2."""

from __future__ import annotations

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.groups import Block
from fedglmm_secure.model.tiles import Tile
from fedglmm_secure.ring import Vector

STEP = 1e-8
"""Newton's error squares at each step: after a step this short the mode is right to the last digits of a float."""
MAX_STEPS = 200


def scalar_modes(tile: Tile, family: Family, fixed: Matrix, sigma: float) -> Vector:
    """The modes v^ of a tile's groups, shape (G,), at linear predictor fixed + sigma z v: ``conditional_modes``, q = 1.

    A step is halved where it made the slope g_v steeper: g_v falls strictly in v, so that no value of g is needed.
    """

    def slope_and_step(v: Vector) -> tuple[Vector, Vector]:
        shift = sigma * v[:, None]
        mean, variance = family.cumulants(fixed, shift if tile.z is None else shift * tile.z, 1, 2)
        slope = response - sigma * tile.sums(tile.times_z(tile.weighted(mean))) - v
        return slope, slope / (1.0 + sigma**2 * tile.sums(tile.times_z(tile.weighted(variance), 2)))

    response = sigma * tile.sums(tile.times_z(tile.weighted(tile.y)))
    v = np.zeros(tile.shape[0])
    with np.errstate(over="ignore", invalid="ignore"):
        slope, step = slope_and_step(v)
        for _ in range(MAX_STEPS):
            trial = v + step
            if (np.abs(step) <= STEP * (1.0 + np.abs(v))).all():
                return trial
            new_slope, new_step = slope_and_step(trial)
            worse = ~(np.abs(new_slope) < np.abs(slope))  # True for NaN, which a far step may give
            v, slope = np.where(worse, v, trial), np.where(worse, slope, new_slope)
            step = np.where(worse, step / 2.0, new_step)
    raise FitError("the conditional modes of the random effects were not found: the linear predictor is out of range")


def conditional_modes(block: Block, family: Family, fixed: Vector, s: Matrix) -> Matrix:
    """The modes v^ of a block's groups, shape (G, q), at linear predictor fixed + s_j' v with s = Z Lambda, (n, q).

    Newton from v = 0, halving the step of each group whose g got worse. g is strictly concave for a canonical link,
    so the mode exists and is unique. Raises FitError if it is not found, which a finite eta does not allow.
    """
    v = np.zeros((block.starts.shape[0], s.shape[1]))
    best, step, _ = _newton(block, family, fixed, s, v)
    for _ in range(MAX_STEPS):
        trial = v + step
        value, newton, _ = _newton(block, family, fixed, s, trial)
        worse = ~(value >= best - 1e-13 * np.abs(best))  # True for NaN, which a far step may give
        done = bool((np.abs(step) <= STEP * (1.0 + np.abs(v))).all())
        v = np.where(worse[:, None], v, trial)
        if done:
            return v
        best = np.where(worse, best, value)
        step = np.where(worse[:, None], step / 2.0, newton)
    raise FitError("the conditional modes of the random effects were not found: the linear predictor is out of range")


def curvatures(block: Block, family: Family, fixed: Vector, s: Matrix, v: Matrix) -> Matrix:
    """H = -g_vv at v, shape (G, q, q): its inverse is about the covariance of v given the data (Laplace)."""
    return _newton(block, family, fixed, s, v)[2]


def _newton(block: Block, family: Family, fixed: Vector, s: Matrix, v: Matrix) -> tuple[Vector, Matrix, Matrix]:
    """g, Newton's step H^-1 g_v and H, for each group."""
    q = s.shape[1]
    eta = fixed + np.einsum("nq,nq->n", s, block.spread(v.T).T)
    with np.errstate(over="ignore", invalid="ignore"):
        density, first, second = family.derivatives(eta, block.y, block.weights, 2)
        value = block.sums(density) - 0.5 * np.sum(v * v, axis=1)
        gradient = block.sums(s.T * first).T - v
        H = block.symmetric_sums(second, s)
        H = np.eye(q) - H
        if q == 1:
            return value, gradient / H[:, 0], H
        finite = np.isfinite(H).all(axis=(1, 2))
        H = np.where(finite[:, None, None], H, np.eye(q))
        return value, np.linalg.solve(H, gradient[:, :, None])[:, :, 0], H
