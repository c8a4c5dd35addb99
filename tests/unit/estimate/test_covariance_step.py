"""Steps in the covariance matrix: coordinates by differences, tops of models by the conditions that they must meet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fedglmm_secure.estimate.chart import Chart
from fedglmm_secure.estimate.covariance_step import Model, climb, covariance_step
from fedglmm_secure.estimate.moments import Moments, spread
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


def without_moments(chart: Chart, theta: np.ndarray, function: Callable[[np.ndarray], Derivatives]) -> Model:
    """A model that is the quadratic and no more."""
    here = function(chart.coordinates(theta))
    return Model(chart, theta, Derivatives(0.0, here.gradient, here.hessian), ())


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
    step = climb(without_moments(chart, theta, function), 100.0)
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
    step = climb(without_moments(chart, theta, lambda coordinates: function(coordinates - shift)), 100.0)
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
        np.testing.assert_allclose(A[block] @ chart.covariance(reached)[block], 0.0, atol=1e-5)
        first += size


def test_a_climb_stops_where_the_radius_ends() -> None:
    chart, theta = Chart(Pattern((2,))), theta_of(Pattern((2,)), 3)
    function, _ = quadratic(chart, 3)
    model = without_moments(chart, theta, function)
    step = climb(model, 0.05)
    assert step is not None
    assert step.bounded
    assert step.length == pytest.approx(0.05)
    assert step.length == pytest.approx(model.length(theta + step.step))
    assert step.predicted > 0.0


def balanced(theta: np.ndarray, chart: Chart, T: np.ndarray, R: np.ndarray, groups: float) -> Derivatives:
    """-G/2 log|V| - tr(V^-1 T) / 2 with V = R + Sigma, and beta beside it, in theta."""
    rows, columns = chart.pattern.entries
    q = chart.pattern.q
    units = np.zeros((len(rows), q, q))
    units[np.arange(len(rows)), rows, columns] = units[np.arange(len(rows)), columns, rows] = 1.0
    V = R + chart.covariance(theta)
    W = np.linalg.inv(V)
    A = 0.5 * (W @ T @ W - groups * W)
    curvature = -0.5 * groups * np.einsum("tij,jk,ukl,li->tu", units, W, units, W)
    crossed = np.einsum("tij,jk,ukl,li->tu", units, W, units, A)
    hessian = -np.eye(len(theta))
    hessian[FIXED:, FIXED:] = curvature - crossed - crossed.T
    value = -0.5 * groups * np.linalg.slogdet(V)[1] - 0.5 * np.trace(W @ T) - 0.5 * float(theta[:FIXED] @ theta[:FIXED])
    gradient = np.append(-theta[:FIXED], np.einsum("tij,ji->t", units, A))
    return chart.to_theta(theta, Derivatives(float(value), gradient, hessian))


def rough(theta: np.ndarray, chart: Chart, seed: int) -> Derivatives:
    """Derivatives in theta of something that no moments explain."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(len(theta), len(theta)))
    return Derivatives(0.0, rng.normal(size=len(theta)), -3.0 * root @ root.T)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", range(3))
def test_the_models_derivatives_are_those_of_its_value(pattern: Pattern, seed: int) -> None:
    chart, theta = Chart(pattern), theta_of(pattern, seed)
    model = Model.of(chart, theta, rough(theta, chart, seed), 20.0)
    point, step = theta + 0.1 * np.random.default_rng(seed + 50).normal(size=len(theta)), 1e-5
    here = model.at(point)
    sides = [(model.at(point + h), model.at(point - h)) for h in step * np.eye(len(theta))]
    scale = float(np.abs(here.gradient).max())
    np.testing.assert_allclose(
        here.gradient, [(a.value - b.value) / (2 * step) for a, b in sides], rtol=1e-5, atol=1e-6 * scale
    )
    differences = np.array([(a.gradient - b.gradient) / (2 * step) for a, b in sides])
    np.testing.assert_allclose(here.hessian, differences, rtol=1e-5, atol=1e-6 * float(np.abs(differences).max()))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", range(3))
def test_at_its_origin_it_has_the_likelihoods_derivatives(pattern: Pattern, seed: int) -> None:
    chart, theta = Chart(pattern), theta_of(pattern, seed)
    given = rough(theta, chart, seed)
    here = Model.of(chart, theta, given, 20.0).at(theta)
    assert here.value == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(here.gradient, given.gradient, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(here.hessian, given.hessian, rtol=1e-8, atol=1e-8)


def moments_of(seed: int, q: int, *, deficient: bool) -> tuple[np.ndarray, Moments]:
    """Lambda (without its last column if ``deficient``) and groups that are all equally well known."""
    rng = np.random.default_rng([seed, q])
    Lambda = np.tril(rng.normal(size=(q, q))) * rng.choice([0.1, 1.0], size=(q, 1))
    if deficient:
        Lambda[:, -1] = 0.0
    root, effects = rng.normal(size=(2, q, q))
    R = root @ root.T * rng.choice([0.01, 0.3, 3.0]) + 1e-3 * np.eye(q)
    T = 20.0 * (effects @ effects.T * rng.choice([0.1, 1.0, 10.0]) + R)
    return Lambda, Moments(20.0, Lambda @ Lambda.T, R, T)


@pytest.mark.parametrize(("q", "deficient"), [(1, False), *((q, d) for q in (2, 3, 4) for d in (False, True))])
@pytest.mark.parametrize("seed", range(4))
def test_slope_and_curvature_along_lambda_tell_v_and_t(q: int, seed: int, deficient: bool) -> None:
    Lambda, true = moments_of(seed, q, deficient=deficient)
    a, b = np.tril_indices(q)
    entries = np.zeros((len(a), q, q))
    entries[np.arange(len(a)), a, b] = 1.0
    directions = entries @ Lambda.T + Lambda @ entries.transpose(0, 2, 1)
    units = entries + entries.transpose(0, 2, 1)
    units[a == b] /= 2.0
    _, slope, curvature = true.at(true.Sigma, directions)
    A = np.tensordot(np.where(a == b, 1.0, 0.5) * true.at(true.Sigma, units)[1], units, 1)
    V = spread(20.0, true.Sigma, A, directions, curvature)
    if not deficient:  # else another V may have the same curvature
        np.testing.assert_allclose(np.linalg.solve(true.V, V), np.eye(q), atol=2e-2)
    found = Moments.of(20.0, true.Sigma, A, directions, curvature).at(true.Sigma, directions)
    np.testing.assert_allclose(found[1], slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())
    np.testing.assert_allclose(found[2], curvature, rtol=1e-2, atol=1e-2 * np.abs(curvature).max())


@pytest.mark.parametrize("blocks", [(2,), (1, 1)])
@pytest.mark.parametrize("factor", [0.02, 9.0])
def test_variances_go_as_far_as_they_are_to_go_in_one_step(blocks: tuple[int, ...], factor: float) -> None:
    chart, groups = Chart(Pattern(blocks)), 30.0
    correlation = 0.4 if blocks == (2,) else 0.0
    R, shape = np.diag([0.03, 0.02]), np.array([[1.0, 1.2 * correlation], [1.2 * correlation, 1.44]])
    theta = np.append(np.zeros(FIXED), np.linalg.cholesky(shape)[np.tril_indices(2)] if blocks == (2,) else [1.0, 1.2])
    here = balanced(theta, chart, groups * (factor * shape + R), R, groups)
    step = covariance_step(chart, theta, here, groups, 100.0)
    assert step is not None
    np.testing.assert_allclose(chart.covariance(theta + step.step), factor * shape, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("goal", [0.2, 1.0])
def test_near_the_maximum_it_is_newtons_step(goal: float) -> None:
    chart, groups, R = Chart(Pattern((2,))), 30.0, np.diag([0.3, 0.2])
    top = goal * np.array([[1.0, 0.3], [0.3, 0.8]])
    theta = np.append(np.zeros(FIXED), np.linalg.cholesky(top)[np.tril_indices(2)] * 1.01)
    for _ in range(3):
        step = covariance_step(chart, theta, balanced(theta, chart, groups * (top + R), R, groups), groups, 2.0)
        assert step is not None
        theta = theta + step.step
    np.testing.assert_allclose(chart.covariance(theta), top, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_change_of_sigma_is_bounded_and_begins_as_the_difference(seed: int) -> None:
    _, moments = moments_of(seed, 3, deficient=False)
    direction = np.diag([1.0, 2.0, 3.0])
    near = moments.change(moments.Sigma + 1e-6 * direction).value
    np.testing.assert_allclose(near, 1e-6 * direction, atol=1e-9)
    far = moments.change(1e12 * direction).value
    np.testing.assert_allclose(far, 2.0 * moments.V, rtol=1e-6, atol=1e-9)


def test_without_a_variance_there_are_no_moments() -> None:
    chart, theta = Chart(Pattern((1, 1))), np.array([0.0, 0.0, 0.0, 0.7])
    here = balanced(theta, chart, 30.0 * np.diag([2.0, 1.0]), np.diag([0.3, 0.2]), 30.0)
    model = Model.of(chart, theta, here, 30.0)
    assert [part.terms.tolist() for part in model.parts] == [[1]]
    assert model.length(theta + np.array([0.0, 0.0, 0.15, 0.0])) == pytest.approx(1.0)


def test_only_columns_at_a_blocks_end_may_be_zero() -> None:
    pattern = Pattern((3, 1))
    tau = np.array([0.5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5])
    assert [list(entries) for entries in pattern.trailing_columns(tau, 1e-3)] == [[6], [5], [2, 4]]
    tau[5] = 0.3
    assert [list(entries) for entries in pattern.trailing_columns(tau, 1e-3)] == [[6]]
