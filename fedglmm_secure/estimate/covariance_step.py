"""A step for several random terms: to the top of a quadratic model in Sigma, within the covariance matrices.

The model is Newton's, its step lengthened where a variance is to grow; its top is found in tau, where every point is a
covariance matrix (docs/mathematics.md, section 4). No sum is needed for any of it.
"""

from __future__ import annotations

import numpy as np

from fedglmm_secure.estimate.chart import Chart
from fedglmm_secure.estimate.trust_region import Step, propose
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Index, Matrix
from fedglmm_secure.ring import Vector

LEAST_GROWING = 1e-3
"""A block with a smaller entry on Lambda's diagonal is left to Newton's own model."""
MOST_CORRELATED = 0.9
"""In the precision of the groups' effects: estimated entry by entry, it need not come out positive definite."""
FIRST_RADIUS, LEAST_RADIUS = 0.3, 1e-3
"""The first step on the model is no longer than the smallest entry of Lambda's diagonal, within these bounds: a longer
one could pass through 0, where a variance is to end, to the same variance or a larger one on the other side."""
CLIMBS = 100
"""Steps on the model; some ten are usual."""
TOP, ROUNDING = 1e-18, 1e-14
"""Relative to the model's value: what is left to climb at its top, and what its differences cannot tell."""


def covariance_step(chart: Chart, theta: Vector, at: Derivatives, groups: float, radius: float) -> Step | None:
    """The step from ``theta``, at most ``radius`` long, to the top of the model; None if none is found.

    ``at`` holds the derivatives in theta, and ``groups`` is their number. The lengthened model counts only where its
    top lies within the radius.
    """
    model = chart.from_theta(theta, at)
    step = climb(chart, theta, lengthened(chart, theta, model, groups), radius)
    return step if step and not step.bounded else climb(chart, theta, model, radius)


def climb(chart: Chart, theta: Vector, model: Derivatives, radius: float) -> Step | None:
    """From theta up the quadratic ``model`` in the chart's coordinates, to its top or to where the radius ends."""
    origin = chart.coordinates(theta)

    def at(point: Vector) -> Derivatives:
        move = chart.coordinates(point) - origin
        bent = model.hessian @ move
        value = float(model.gradient @ move + 0.5 * move @ bent)
        return chart.to_theta(point, Derivatives(value, model.gradient + bent, model.hessian))

    smallest = float(np.abs(theta[len(theta) - chart.pattern.size :][chart.pattern.diagonal]).min())
    point, here, inner = theta, at(theta), min(max(smallest, LEAST_RADIUS), FIRST_RADIUS)
    for _ in range(CLIMBS):
        step = propose(here.gradient, here.hessian, inner)
        if not step.bounded and step.predicted <= TOP * (1.0 + abs(here.value)):
            return Step(point - theta, here.value, bounded=False)
        trial = point + step.step
        length = float(np.linalg.norm(trial - theta))
        if length > radius:
            trial = theta + radius / length * (trial - theta)
            there = at(trial)
            return Step(trial - theta, there.value, bounded=True) if there.value > 0.0 else None
        there = at(trial)
        rounding = ROUNDING * (1.0 + abs(here.value))
        ratio = (there.value - here.value + rounding) / (step.predicted + rounding)
        if ratio > 0.1:
            point, here = trial, there
            inner *= 2.0 if step.bounded and ratio > 0.75 else 1.0
        else:
            inner = 0.25 * float(np.linalg.norm(step.step))
    return None


def lengthened(chart: Chart, theta: Vector, model: Derivatives, groups: float) -> Derivatives:
    """The model with a curvature that lets variances grow in one step as far as they are to grow.

    For G groups of equal precision, whose effects have covariance V = R + Sigma and sum of products T, the
    log-likelihood is -G/2 log|V| - tr(V^-1 T) / 2. With W = V^-1 and its slope A in Sigma, its curvature along D and E
    is -G/2 tr(D W E W) - tr(D W E A) - tr(E W D A), in which the terms with A make Newton's steps too short by far
    where A > 0. W follows from the curvature; the terms are taken off for the positive part of A, which vanishes at a
    maximum: there the model is Newton's.
    """
    slope, curvature = _profile(chart, theta, model)
    first, (a, b) = len(theta) - len(slope), chart.pattern.entries
    hessian, begin = model.hessian.copy(), 0
    for size in chart.pattern.blocks:
        block = np.flatnonzero((a >= begin) & (a < begin + size))
        rows, columns = a[block] - begin, b[block] - begin
        begin += size
        A = np.zeros((size, size))
        A[rows, columns] = A[columns, rows] = np.where(rows == columns, 1.0, 0.5) * slope[block]
        diagonal = theta[first + block][rows == columns]
        W = _precision(A, curvature[np.ix_(block, block)], rows, columns, groups)
        if W is None or diagonal.min() < LEAST_GROWING:
            continue
        values, vectors = np.linalg.eigh(A)
        A = (vectors * np.maximum(values, 0.0)) @ vectors.T
        units = np.zeros((len(block), size, size))
        units[np.arange(len(block)), rows, columns] = units[np.arange(len(block)), columns, rows] = 1.0
        crossed = np.einsum("tij,jk,ukl,li->tu", units, W, units, A)
        hessian[np.ix_(first + block, first + block)] += crossed + crossed.T
    return Derivatives(model.value, model.gradient, hessian)


def _profile(chart: Chart, theta: Vector, model: Derivatives) -> tuple[Vector, Matrix]:
    """Slope and curvature in Sigma with beta following."""
    first = len(theta) - chart.pattern.size
    inverse = np.linalg.pinv(model.hessian[:first, :first])
    cross = model.hessian[first:, :first]
    slope = model.gradient[first:] - cross @ inverse @ model.gradient[:first]
    return slope, model.hessian[first:, first:] - cross @ inverse @ cross.T


def _precision(A: Matrix, curvature: Matrix, rows: Index, columns: Index, groups: float) -> Matrix | None:
    """W of ``lengthened``, entry by entry; None where no precision has this slope and curvature.

    On the diagonal the curvature is -G/2 W_ii^2 - 2 W_ii A_ii; that of Sigma_ii and Sigma_ij, which is linear in W_ij,
    gives two values of it.
    """
    on = np.flatnonzero(rows == columns)
    slope = np.diag(A)
    root = np.sqrt(np.maximum(4.0 * slope**2 - 2.0 * groups * curvature[on, on], 0.0))
    w = (root - 2.0 * slope) / groups
    if (w <= 0.0).any():
        return None
    W = np.diag(w)
    for t in np.flatnonzero(rows != columns):
        i, j = rows[t], columns[t]
        steep = groups * w + 2.0 * slope
        values = [
            -(curvature[on[k], t] + 2.0 * w[k] * A[i, j]) / steep[k] if steep[k] > 1e-3 * groups * w[k] else 0.0
            for k in (i, j)
        ]
        most = MOST_CORRELATED * np.sqrt(w[i] * w[j])
        W[i, j] = W[j, i] = np.clip(np.mean(values), -most, most)
    return W
