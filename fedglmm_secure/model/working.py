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

from fedglmm_secure.model.description import GRID
from fedglmm_secure.model.design import Design, Layout, Matrix
from fedglmm_secure.model.family import FAMILIES, Family
from fedglmm_secure.model.groups import Block, blocks
from fedglmm_secure.ring import Vector

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
    """Weighted sums at a working point: over all rows, and by group (one row a group)."""

    cross: Matrix
    """X' W X."""
    slope: Vector
    """X' W zeta, zeta being the working response."""
    precision: Vector
    """z' W z by group."""
    mixed: Matrix
    """z' W X by group."""
    response: Vector
    """z' W zeta by group."""

    def marginal(self, sigma: float) -> Quadratic:
        """The weighted linear mixed model's log-likelihood with v integrated out, up to a constant."""
        inflation = 1.0 + sigma**2 * self.precision
        shrunken = (sigma**2 / inflation)[:, None] * self.mixed
        constant = -0.5 * float(np.sum(np.log(inflation) - sigma**2 / inflation * self.response**2))
        return Quadratic(constant, self.slope - shrunken.T @ self.response, self.cross - shrunken.T @ self.mixed)


def working_model(layout: Layout, design: Design) -> Iterator[Quadratic]:
    """The site's quadratic in beta (of the range-scaled columns) at each sigma of GRID.

    Damped by nothing but the ridge: where the iteration does not settle, its last point is still a working point.
    """
    columns = list(range(len(layout.columns)))
    pieces = list(blocks(design, columns, np.array(layout.centre), np.array(layout.half)))
    family = FAMILIES[layout.family]
    beta: Vector = np.zeros(len(columns))
    effects: Vector = np.zeros(design.groups)
    for _ in range(MAX_STEPS):
        working = _at(pieces, family, beta, effects)
        marginal = working.marginal(FIRST_SIGMA)
        ridge = RIDGE * np.eye(len(beta))
        new = np.asarray(np.linalg.solve(marginal.curvature + ridge, marginal.slope), dtype=np.float64)
        residual = working.response - working.mixed @ new
        effects = residual * FIRST_SIGMA**2 / (1.0 + FIRST_SIGMA**2 * working.precision)
        settled = np.max(np.abs(new - beta), initial=0.0) < 1e-6
        beta = new
        if settled:
            break
    working = _at(pieces, family, beta, effects)
    return (working.marginal(sigma) for sigma in GRID)


def _at(pieces: list[Block], family: Family, beta: Vector, effects: Vector) -> _Working:
    """Sums of weights W = -l'' and working responses zeta = eta + l'/W, eta without the offset."""
    parts = []
    for block in pieces:
        eta = block.x @ beta + block.z * block.spread(effects[block.groups])
        _, first, second = family.derivatives(block.offset + eta, block.y, block.weights, 2)
        weights, weighted_response = -second, first - second * eta
        parts.append(
            (
                block.x.T @ (block.x * weights[:, None]),
                block.x.T @ weighted_response,
                block.sums(block.z**2 * weights),
                block.weighted_sums((block.z * weights)[None])[0],
                block.sums(block.z * weighted_response),
            )
        )
    cross, slope, precision, mixed, response = zip(*parts, strict=True)
    return _Working(sum(cross), sum(slope), np.concatenate(precision), np.concatenate(mixed), np.concatenate(response))
