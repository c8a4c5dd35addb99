"""The working model: a quadratic approximation of a site's likelihood, from which the pooled fit starts.

At the site's own penalised quasi-likelihood fit (Breslow and Clayton 1993, JASA 88:9) the likelihood of a generalized
linear mixed model looks like that of a weighted linear one, whose marginal log-likelihood is quadratic in beta once
the random term's standard deviation sigma is fixed. Summed over sites at a few sigma, it lets the coordinator choose
a good beta and sigma before the first Newton step, at no further round trip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_secure.model.description import GRID
from fedglmm_secure.model.design import Design, Layout, Matrix
from fedglmm_secure.model.family import FAMILIES, Family
from fedglmm_secure.model.groups import Block, blocks
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

Tensor = npt.NDArray[np.float64]

FIRST_SIGMA = 0.5
"""The random term's standard deviation in the site's own fit; its value only moves the start, never the result."""
RIDGE = 0.05
"""Precision of a weak normal prior on the site's own beta, so that three patients have a fit too."""
MAX_STEPS = 30


@dataclass(frozen=True)
class Quadratic:
    """constant + slope' beta - beta' curvature beta / 2."""

    constant: float
    slope: Vector
    curvature: Matrix


@dataclass(frozen=True)
class _Working:
    """Weighted sums at a working point: over all rows, and by group."""

    cross: Matrix
    """X' W X."""
    slope: Vector
    """X' W zeta, zeta being the working response."""
    precision: Tensor
    """Z' W Z by group, (G, q, q)."""
    mixed: Tensor
    """Z' W X by group, (G, q, p)."""
    response: Matrix
    """Z' W zeta by group, (G, q)."""

    def marginal(self, sigma: float) -> Quadratic:
        """The weighted linear mixed model's log-likelihood with v integrated out, Lambda = sigma I, up to a constant."""
        inflation = np.eye(self.precision.shape[1]) + sigma**2 * self.precision
        shrunken = sigma**2 * np.linalg.solve(inflation, np.dstack([self.mixed, self.response]))
        constant = -0.5 * float(np.sum(np.linalg.slogdet(inflation)[1]))
        constant += 0.5 * float(np.sum(shrunken[:, :, -1] * self.response))
        return Quadratic(
            constant,
            self.slope - np.einsum("gqp,gq->p", shrunken[:, :, :-1], self.response),
            self.cross - np.einsum("gqp,gqr->pr", shrunken[:, :, :-1], self.mixed),
        )

    def effects(self, beta: Vector) -> Matrix:
        """The random effects at beta and FIRST_SIGMA, (G, q)."""
        residual = self.response - self.mixed @ beta
        inflation = np.eye(residual.shape[1]) + FIRST_SIGMA**2 * self.precision
        return np.asarray(FIRST_SIGMA**2 * np.linalg.solve(inflation, residual[:, :, None])[:, :, 0])


def working_model(layout: Layout, design: Design) -> Iterator[Quadratic]:
    """The site's quadratic in beta (in the units of the declared ranges) at each sigma of GRID.

    Where the iteration does not settle, or leaves the finite numbers, the last good point is still a working point.
    """
    units = Units.of_ranges(layout, tuple(range(len(layout.columns))))
    pieces, family = list(blocks(design, units)), FAMILIES[layout.family]
    working = _at(pieces, family, [family.first_eta(block.y) - block.offset for block in pieces])
    beta: Vector = np.zeros(len(layout.columns))
    ridge = RIDGE * np.eye(len(beta))
    for _ in range(MAX_STEPS):
        marginal = working.marginal(FIRST_SIGMA)
        new = np.asarray(np.linalg.solve(marginal.curvature + ridge, marginal.slope), dtype=np.float64)
        effects = working.effects(new)
        next_one = _at(pieces, family, [_eta(block, new, effects[block.groups]) for block in pieces])
        if not np.isfinite(next_one.cross).all():
            break
        settled = np.max(np.abs(new - beta), initial=0.0) < 1e-6
        beta, working = new, next_one
        if settled:
            break
    return (working.marginal(sigma) for sigma in GRID)


def _eta(block: Block, beta: Vector, effects: Matrix) -> Vector:
    return np.asarray(block.x @ beta + np.sum(block.z * block.spread(effects.T).T, axis=1))


def _at(pieces: list[Block], family: Family, etas: list[Vector]) -> _Working:
    """Sums of weights W = -l'' and working responses zeta = eta + l'/W, at linear predictors without their offset."""
    parts = []
    for block, eta in zip(pieces, etas, strict=True):
        _, first, second = family.derivatives(block.offset + eta, block.y, block.weights, 2)
        weights, weighted_response = -second, first - second * eta
        parts.append(
            (
                block.x.T @ (block.x * weights[:, None]),
                block.x.T @ weighted_response,
                block.symmetric_sums(weights, block.z),
                block.weighted_sums(block.z.T * weights).transpose(1, 0, 2),
                block.sums(block.z.T * weighted_response).T,
            )
        )
    cross, slope, precision, mixed, response = zip(*parts, strict=True)
    return _Working(sum(cross), sum(slope), np.concatenate(precision), np.concatenate(mixed), np.concatenate(response))
