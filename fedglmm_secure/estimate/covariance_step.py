"""A step for several random terms: to the top of a model in (beta, Sigma), within the covariance matrices.

To the second order the model is Newton's; beyond, each block of random terms follows its moments (moments.py). Its top
is found in tau, where every point is a covariance matrix (docs/mathematics.md, section 4). No sum is needed for any of
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fedglmm_secure.estimate.chart import UNRESOLVED, Chart
from fedglmm_secure.estimate.moments import Moments
from fedglmm_secure.estimate.trust_region import Step, Tensor, propose
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Index, Matrix
from fedglmm_secure.ring import Vector

LEAST_TAU = 1e-3
"""A block without a larger entry of Lambda has no moments: hardly any of its curvature is resolved."""
UNIT_FROM_ZERO = 0.15
"""What counts as one in such a block: the quadratic says which way from 0, not how far."""
FIRST_RADIUS, LEAST_RADIUS = 0.3, 1e-3
"""The first step on the model is no longer than the smallest entry of Lambda's diagonal, within these bounds: a longer
one could pass through 0, where a variance is to end, to the same variance or a larger one on the other side."""
CLIMBS = 100
"""Steps on the model; some ten are usual."""
BISECTIONS = 40
TOP, ROUNDING = 1e-18, 1e-14
"""Relative to the model's value: what is left to climb at its top, and what its differences cannot tell."""


def covariance_step(chart: Chart, theta: Vector, at: Derivatives, groups: float, radius: float) -> Step | None:
    """The step from ``theta``, at most ``radius`` long (``Model.length``), to the top of the model; None without one.

    ``at`` holds the derivatives in theta, and ``groups`` is their number.
    """
    return climb(Model.of(chart, theta, at, groups), radius)


@dataclass(frozen=True)
class Part:
    """A block with its moments: its terms, its entries' positions in theta, and Sigma's units along these."""

    terms: Index
    where: Index
    units: Tensor
    moments: Moments

    def covariance(self, Sigma: Matrix) -> Matrix:
        """The block of Sigma."""
        return Sigma[np.ix_(self.terms, self.terms)]


@dataclass(frozen=True)
class Model:
    """The gain over ``origin``: the moments', and of the rest a quadratic in beta and the bounded change of Sigma."""

    chart: Chart
    origin: Vector
    rest: Derivatives
    """In (beta, Sigma) at the origin."""
    parts: tuple[Part, ...]

    @staticmethod
    def of(chart: Chart, theta: Vector, at: Derivatives, groups: float) -> Model:
        """The model whose derivatives in theta are those of ``at`` to the second order."""
        quadratic = chart.from_theta(theta, at)
        parts = tuple(_parts(chart, theta, quadratic, groups))
        jacobian, Sigma = chart.jacobian(theta), chart.covariance(theta)
        resolved = jacobian @ np.linalg.pinv(jacobian, rcond=UNRESOLVED)
        value, gradient, hessian = 0.0, quadratic.gradient.copy(), quadratic.hessian.copy()
        for part in parts:
            height, slope, curvature = part.moments.at(part.covariance(Sigma), part.units)
            inner = resolved[np.ix_(part.where, part.where)]
            value -= height
            gradient[part.where] -= slope
            hessian[np.ix_(part.where, part.where)] -= inner.T @ curvature @ inner
        return Model(chart, theta, Derivatives(value, gradient, hessian), parts)

    def length(self, point: Vector) -> float:
        """How far a point is from the origin: beta in standardised units, Sigma relative to what the data tell of it.

        That is the ``distance`` of a block's moments, and for one without any the move of tau.
        """
        move, Sigma = point - self.origin, self.chart.covariance(point)
        move[len(move) - self.chart.pattern.size :] /= UNIT_FROM_ZERO
        for part in self.parts:
            move[part.where] = 0.0
        distances = [part.moments.distance(part.covariance(Sigma)) for part in self.parts]
        return float(np.linalg.norm(np.append(move, distances)))

    def at(self, point: Vector) -> Derivatives:
        """The gain at a point, and its derivatives in theta."""
        rest, Sigma = self.rest, self.chart.covariance(point)
        straight = self.chart.coordinates(point) - self.chart.coordinates(self.origin)
        move, J = straight.copy(), np.eye(len(point))
        changes = [part.moments.change(part.covariance(Sigma)) for part in self.parts]
        for part, change in zip(self.parts, changes, strict=True):
            lower = np.tril_indices(len(part.terms))
            move[part.where] = change.value[lower]
            J[np.ix_(part.where, part.where)] = change.along(part.units)[:, *lower].T
        bent = rest.hessian @ move
        value = rest.value + float(rest.gradient @ straight + 0.5 * move @ bent)
        gradient, hessian = rest.gradient + J.T @ bent, J.T @ rest.hessian @ J
        for part, change in zip(self.parts, changes, strict=True):
            height, slope, curvature = part.moments.at(part.covariance(Sigma), part.units)
            value += height
            gradient[part.where] += slope
            hessian[np.ix_(part.where, part.where)] += curvature
            hessian[np.ix_(part.where, part.where)] += change.bent(part.units, _matrix(bent[part.where], part.units))
        return self.chart.to_theta(point, Derivatives(value, gradient, hessian))


def _parts(chart: Chart, theta: Vector, quadratic: Derivatives, groups: float) -> Iterator[Part]:
    """The blocks that have moments, by slope and curvature in Sigma with beta following."""
    pattern, Sigma, jacobian = chart.pattern, chart.covariance(theta), chart.jacobian(theta)
    first = len(theta) - pattern.size
    cross = quadratic.hessian[first:, :first]
    follows = cross @ np.linalg.pinv(quadratic.hessian[:first, :first])
    slope = quadratic.gradient[first:] - follows @ quadratic.gradient[:first]
    curvature = quadratic.hessian[first:, first:] - follows @ cross.T
    begin, rows = 0, pattern.entries[0]
    for size in pattern.blocks:
        terms, block = np.arange(begin, begin + size), np.flatnonzero((rows >= begin) & (rows < begin + size))
        begin += size
        if np.abs(theta[first + block]).max() < LEAST_TAU:
            continue
        a, b = np.tril_indices(size)
        units = np.zeros((len(block), size, size))
        units[np.arange(len(block)), a, b] = units[np.arange(len(block)), b, a] = 1.0
        J = jacobian[np.ix_(first + block, first + block)]
        directions = np.tensordot(J.T, units, 1)
        moments = Moments.of(
            groups,
            Sigma[np.ix_(terms, terms)],
            _matrix(slope[block], units),
            directions,
            J.T @ curvature[np.ix_(block, block)] @ J,
        )
        yield Part(terms, first + block, units, moments)


def _matrix(slope: Vector, units: Tensor) -> Matrix:
    """The symmetric A with tr(A E) = the slope along each of the units E."""
    return np.asarray(np.tensordot(slope / np.sum(units**2, axis=(1, 2)), units, 1))


def climb(model: Model, radius: float) -> Step | None:
    """From the origin up the model, to its top or to where the radius ends."""
    theta, pattern = model.origin, model.chart.pattern
    smallest = float(np.abs(theta[len(theta) - pattern.size :][pattern.diagonal]).min())
    point, here, inner = theta, model.at(theta), min(max(smallest, LEAST_RADIUS), FIRST_RADIUS)
    for _ in range(CLIMBS):
        step = propose(here.gradient, here.hessian, inner)
        if not step.bounded and step.predicted <= TOP * (1.0 + abs(here.value)):
            return Step(point - theta, here.value, bounded=False, length=model.length(point))
        trial = point + step.step
        if model.length(trial) > radius:
            end = _within_radius(model, point, step.step, radius)
            gain = model.at(end).value
            return Step(end - theta, gain, bounded=True, length=model.length(end)) if gain > 0.0 else None
        there = model.at(trial)
        rounding = ROUNDING * (1.0 + abs(here.value))
        ratio = (there.value - here.value + rounding) / (step.predicted + rounding)
        if ratio > 0.1:
            point, here = trial, there
            inner *= 2.0 if step.bounded and ratio > 0.75 else 1.0
        else:
            inner = 0.25 * float(np.linalg.norm(step.step))
    return None


def _within_radius(model: Model, point: Vector, step: Vector, radius: float) -> Vector:
    """Where a step that leads out of the radius leaves it."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if model.length(point + middle * step) <= radius else (low, middle)
    return np.asarray(point + low * step)
