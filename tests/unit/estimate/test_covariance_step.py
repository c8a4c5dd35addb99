"""Steps in the covariance matrix: coordinates by differences, tops of models by the conditions that they must meet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fedglmm_secure.estimate.chart import Chart
from fedglmm_secure.estimate.covariance_step import climb, covariance_step
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives

PATTERNS = [Pattern((2,)), Pattern((3,)), Pattern((1, 2)), Pattern((1, 1))]
FIXED = 2


def quadratic(chart: Chart, seed: int) -> tuple[Callable[[np.ndarray], Derivatives], np.ndarray]:
    """A concave quadratic in (beta, Sigma), and its top, whose Sigma is positive definite."""
    rng = np.random.default_rng(seed)
    top = theta_of(chart.pattern, seed + 100)
    centre = chart.coordinates(top)
    root = rng.normal(size=(len(top), len(top)))
    curvature = -root @ root.T - np.eye(len(top))

    def at(coordinates: np.ndarray) -> Derivatives:
        move = coordinates - centre
        return Derivatives(float(0.5 * move @ curvature @ move), curvature @ move, curvature)

    return at, centre


def theta_of(pattern: Pattern, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tau = 0.3 * rng.normal(size=pattern.size)
    tau[pattern.diagonal] = rng.uniform(0.3, 1.5, pattern.q)
    return np.append(rng.normal(size=FIXED), tau)


def sigma(chart: Chart, theta: np.ndarray) -> np.ndarray:
    Lambda = chart.pattern.factor(theta[FIXED:])
    return Lambda @ Lambda.T


@pytest.mark.parametrize("pattern", PATTERNS)
def test_derivatives_in_theta_are_those_of_the_composition(pattern: Pattern) -> None:
    chart, theta, step = Chart(pattern), theta_of(pattern, 1), 1e-5
    function, _ = quadratic(chart, 1)

    def at(point: np.ndarray) -> Derivatives:
        return chart.to_theta(point, function(chart.coordinates(point)))

    here = at(theta)
    sides = [(at(theta + h), at(theta - h)) for h in step * np.eye(len(theta))]
    np.testing.assert_allclose(here.gradient, [(a.value - b.value) / (2 * step) for a, b in sides], rtol=1e-6)
    differences = np.array([(a.gradient - b.gradient) / (2 * step) for a, b in sides])
    np.testing.assert_allclose(here.hessian, differences, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", range(3))
def test_and_back(pattern: Pattern, seed: int) -> None:
    chart, theta = Chart(pattern), theta_of(pattern, seed)
    function, _ = quadratic(chart, seed)
    expected = function(chart.coordinates(theta))
    found = chart.from_theta(theta, chart.to_theta(theta, expected))
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.hessian, expected.hessian, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_at_a_column_of_zeros_its_curvature_gives_the_slope(pattern: Pattern) -> None:
    chart, theta = Chart(pattern), theta_of(pattern, 2)
    theta[-1] = 0.0
    function, _ = quadratic(chart, 2)
    expected = function(chart.coordinates(theta))
    found = chart.from_theta(theta, chart.to_theta(theta, expected))
    # where the column's own part of Sigma is 0, products of it with others' curvature vanish
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", range(5))
def test_a_climb_ends_at_the_models_top(pattern: Pattern, seed: int) -> None:
    chart, theta = Chart(pattern), theta_of(pattern, seed)
    function, top = quadratic(chart, seed)
    step = climb(chart, theta, function(chart.coordinates(theta)), 100.0)
    assert step is not None
    assert not step.bounded
    reached = theta + step.step
    np.testing.assert_allclose(chart.coordinates(reached), top, atol=1e-7)
    gain = function(chart.coordinates(reached)).value - function(chart.coordinates(theta)).value
    assert step.predicted == pytest.approx(gain, rel=1e-9)


@pytest.mark.parametrize("pattern", [Pattern((2,)), Pattern((3,)), Pattern((1, 2))])
@pytest.mark.parametrize("seed", range(5))
def test_or_at_the_edge_of_the_covariance_matrices(pattern: Pattern, seed: int) -> None:
    """There the slope A has no positive part within the blocks, and A Sigma = 0 (Karush, Kuhn and Tucker)."""
    chart, theta = Chart(pattern), theta_of(pattern, seed)
    function, top = quadratic(chart, seed)
    outside = top.copy()
    outside[FIXED + pattern.diagonal] -= 1.5
    shift = outside - top
    moved = function(chart.coordinates(theta) - shift)
    step = climb(chart, theta, moved, 100.0)
    assert step is not None
    reached = theta + step.step
    slope = function(chart.coordinates(reached) - shift).gradient
    np.testing.assert_allclose(slope[:FIXED], 0.0, atol=1e-6)
    rows, columns = pattern.entries
    A = np.zeros((pattern.q, pattern.q))
    A[rows, columns] = A[columns, rows] = np.where(rows == columns, 1.0, 0.5) * slope[FIXED:]
    first = 0
    for size in pattern.blocks:
        block = np.s_[first : first + size, first : first + size]
        assert np.linalg.eigvalsh(A[block]).max() < 1e-5
        np.testing.assert_allclose(A[block] @ sigma(chart, reached)[block], 0.0, atol=1e-5)
        first += size


def test_a_climb_stops_where_the_radius_ends() -> None:
    chart, theta = Chart(Pattern((2,))), theta_of(Pattern((2,)), 3)
    function, _ = quadratic(chart, 3)
    step = climb(chart, theta, function(chart.coordinates(theta)), 0.05)
    assert step is not None
    assert step.bounded
    assert np.linalg.norm(step.step) == pytest.approx(0.05)
    assert step.predicted > 0.0


def balanced(theta: np.ndarray, chart: Chart, T: np.ndarray, R: np.ndarray, groups: float) -> Derivatives:
    """-G/2 log|V| - tr(V^-1 T) / 2 with V = R + Sigma, and beta beside it, in theta."""
    rows, columns = chart.pattern.entries
    q = chart.pattern.q
    units = np.zeros((len(rows), q, q))
    units[np.arange(len(rows)), rows, columns] = units[np.arange(len(rows)), columns, rows] = 1.0
    V = R + sigma(chart, theta)
    W = np.linalg.inv(V)
    A = 0.5 * (W @ T @ W - groups * W)
    curvature = -0.5 * groups * np.einsum("tij,jk,ukl,li->tu", units, W, units, W)
    crossed = np.einsum("tij,jk,ukl,li->tu", units, W, units, A)
    hessian = -np.eye(len(theta))
    hessian[FIXED:, FIXED:] = curvature - crossed - crossed.T
    value = -0.5 * groups * np.linalg.slogdet(V)[1] - 0.5 * np.trace(W @ T) - 0.5 * float(theta[:FIXED] @ theta[:FIXED])
    gradient = np.append(-theta[:FIXED], np.einsum("tij,ji->t", units, A))
    return chart.to_theta(theta, Derivatives(float(value), gradient, hessian))


@pytest.mark.parametrize("blocks", [(2,), (1, 1)])
def test_variances_that_are_to_grow_do_so_in_one_step(blocks: tuple[int, ...]) -> None:
    chart, groups = Chart(Pattern(blocks)), 30.0
    correlation = 0.4 if blocks == (2,) else 0.0
    R, goal = np.diag([0.3, 0.2]), np.array([[4.0, 4.8 * correlation], [4.8 * correlation, 9.0]])
    theta = np.append(np.zeros(FIXED), [0.4, 0.0, 0.5] if blocks == (2,) else [0.4, 0.5])
    here = balanced(theta, chart, groups * (goal + R), R, groups)
    step = covariance_step(chart, theta, here, groups, 100.0)
    assert step is not None
    np.testing.assert_allclose(sigma(chart, theta + step.step), goal, rtol=1e-3, atol=1e-3)
    newton = climb(chart, theta, chart.from_theta(theta, here), 100.0)
    assert newton is None or np.trace(sigma(chart, theta + newton.step)) < 0.2 * np.trace(goal)


@pytest.mark.parametrize("goal", [0.2, 1.0])
def test_near_the_maximum_it_is_newtons_step(goal: float) -> None:
    chart, groups, R = Chart(Pattern((2,))), 30.0, np.diag([0.3, 0.2])
    top = goal * np.array([[1.0, 0.3], [0.3, 0.8]])
    theta = np.append(np.zeros(FIXED), np.linalg.cholesky(top)[np.tril_indices(2)] * 1.01)
    for _ in range(3):
        step = covariance_step(chart, theta, balanced(theta, chart, groups * (top + R), R, groups), groups, 2.0)
        assert step is not None
        theta = theta + step.step
    np.testing.assert_allclose(sigma(chart, theta), top, atol=1e-12)


def test_only_columns_at_a_blocks_end_may_be_zero() -> None:
    pattern = Pattern((3, 1))
    tau = np.array([0.5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5])
    assert [list(entries) for entries in pattern.trailing_columns(tau, 1e-3)] == [[6], [5], [2, 4]]
    tau[5] = 0.3
    assert [list(entries) for entries in pattern.trailing_columns(tau, 1e-3)] == [[6]]
