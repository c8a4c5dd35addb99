"""The working model: expansions of a site's likelihood at its own estimates, from which the pooled fit starts.

For each standard deviation sigma of a grid, the site maximises its own Laplace likelihood in beta, weakly penalised,
and expands it there to second order in (beta, tau). Summed over sites, the expansions let the coordinator choose a
good beta and Lambda before the first Newton step, at no further round trip. They only move the start, never the result.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.description import grid
from fedglmm_secure.model.design import Design, Layout
from fedglmm_secure.model.family import FAMILIES, Family
from fedglmm_secure.model.groups import blocks
from fedglmm_secure.model.likelihood import log_likelihood
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

RIDGE = 1.0
"""Precision of a normal prior on the site's own beta, in the units of the declared ranges: where 30 patients are to
estimate 10 effects, it keeps the expansion near the pooled estimate (docs/adr/0009-rounds.md)."""
SETTLED = 1e-4
"""Squared length of the last step in standard errors: an expansion is not sensitive to where exactly it is made."""
LONGEST_STEP = 4.0
"""No row's linear predictor goes further in a step, as columns lie in about [-1, 1]: counts do not overflow."""
MAX_STEPS = 30


def working_model(layout: Layout, design: Design) -> Iterator[Derivatives]:
    """At each sigma of ``grid(layout)``, with Lambda = sigma I: the expansion's value and derivatives at beta = 0.

    beta is in the units of the declared ranges, tau counts from sigma. Where a search does not settle, its last point
    serves as well.
    """
    units = Units.of_ranges(layout, tuple(range(len(layout.columns))))
    family, pattern = FAMILIES[layout.family], Pattern(layout.blocks)
    beta = _first(design, units, family)
    for sigmas in grid(layout):
        tau = np.zeros(pattern.size)
        tau[pattern.diagonal] = sigmas
        site = _Site(design, units, family, pattern, tau)
        beta, here = site.scaled() if layout.family == "gaussian" else site.climb(beta)
        back = np.append(-beta, np.zeros(pattern.size))
        yield Derivatives(
            here.value + float(here.gradient @ back + 0.5 * back @ here.hessian @ back),
            here.gradient + here.hessian @ back,
            here.hessian,
        )


class _Site:
    """A site's own likelihood in beta at one tau."""

    def __init__(self, design: Design, units: Units, family: Family, pattern: Pattern, tau: Vector) -> None:
        self._design, self._units, self._family, self._pattern, self._tau = design, units, family, pattern, tau

    def at(self, beta: Vector) -> Derivatives:
        theta = np.append(beta, self._tau)
        return log_likelihood(self._design, self._units, self._family, self._pattern, theta, 1)

    def climb(self, beta: Vector) -> tuple[Vector, Derivatives]:
        """Newton's method with halving on the penalised likelihood; where it is not concave, it ends."""
        p, here = len(beta), self.at(beta)
        for _ in range(MAX_STEPS):
            curvature = RIDGE * np.eye(p) - here.hessian[:p, :p]
            step = np.linalg.solve(curvature, here.gradient[:p] - RIDGE * beta)
            if step @ curvature @ step < SETTLED:
                break
            step *= min(1.0, LONGEST_STEP / float(np.abs(step).sum()))
            goal = here.value - 0.5 * RIDGE * float(beta @ beta)
            for _ in range(MAX_STEPS):
                new = beta + step
                there = self.at(new)
                if np.isfinite(there.hessian).all() and there.value - 0.5 * RIDGE * float(new @ new) >= goal:
                    break
                step = 0.5 * step
            else:
                break
            beta, here = new, there
        return beta, here

    def scaled(self) -> tuple[Vector, Derivatives]:
        """The Gaussian family's exact maximum of n log psi - beta' curvature beta / 2, psi being the last of beta."""
        p = len(self._units.columns)
        curvature = RIDGE * np.eye(p) - self.at(np.zeros(p)).hessian[:p, :p]
        direction = np.linalg.solve(curvature, np.eye(p)[-1])
        beta: Vector = np.sqrt(self._design.rows / direction[-1]) * direction
        return beta, self.at(beta)


def _first(design: Design, units: Units, family: Family) -> Vector:
    """One step of penalised reweighted least squares from linear predictors near the responses (as R's glm does)."""
    p = len(units.columns)
    curvature, slope = RIDGE * np.eye(p), np.zeros(p)
    for block in blocks(design, units):
        eta = family.first_eta(block.y)
        _, first, second = family.derivatives(eta, block.y, block.weights, 2)
        curvature -= block.x.T @ (block.x * second[:, None])
        slope += block.x.T @ (first - second * (eta - block.offset))
    return np.asarray(np.linalg.solve(curvature, slope), dtype=np.float64)
