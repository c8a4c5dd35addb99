"""The marginal likelihood against slow, independent ones, and its derivatives against central differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit, log_expit, logsumexp

from fedglmm_secure.model.design import Design
from fedglmm_secure.model.family import Binomial
from fedglmm_secure.model.groups import Block, blocks
from fedglmm_secure.model.modes import conditional_modes
from fedglmm_secure.model.quadrature import Derivatives, Rule, marginal_derivatives

BINOMIAL = Binomial()


def random_block(seed: int, sizes: list[int], *, p: int = 3, slope: bool = False) -> Block:
    """Random rows; the first group is all 0 and the second all 1."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    x = rng.normal(size=(n, p))
    x[:, 0] = 1.0
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    y = (rng.random(n) < 0.4).astype(float)
    y[: sizes[0]] = 0.0
    y[sizes[0] : sizes[0] + sizes[1]] = 1.0
    z = rng.normal(size=n) if slope else np.ones(n)
    return Block(x, z, y, 0.3 * rng.normal(size=n), np.ones(n), starts, slice(0, len(sizes)))


def at(block: Block, theta: np.ndarray, nodes: int) -> Derivatives:
    return marginal_derivatives(block, BINOMIAL, theta, Rule.of(nodes))


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1.0))


group_sizes = st.lists(st.sampled_from([1, 2, 3, 7, 20, 90, 500]), min_size=2, max_size=6)


@pytest.mark.parametrize("sigma", [0.0, 1e-3, 1.0, 5.0])
@pytest.mark.parametrize("nodes", [1, 2, 9])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sizes=group_sizes, slope=st.booleans())
def test_gradient_and_hessian_equal_central_differences(
    nodes: int, sigma: float, seed: int, sizes: list[int], slope: bool
) -> None:
    block = random_block(seed, sizes, slope=slope)
    theta = np.append(np.random.default_rng(seed).normal(scale=0.5, size=3), sigma)
    exact = at(block, theta, nodes)
    step = 1e-5
    gradient, hessian = np.empty(4), np.empty((4, 4))
    for i, unit in enumerate(np.eye(4)):
        up, down = at(block, theta + step * unit, nodes), at(block, theta - step * unit, nodes)
        gradient[i] = (up.value - down.value) / (2 * step)
        hessian[i] = (up.gradient - down.gradient) / (2 * step)
    assert relative(exact.gradient, gradient) < 1e-6
    assert relative(exact.hessian, hessian) < 1e-6
    np.testing.assert_allclose(exact.hessian, exact.hessian.T, rtol=1e-9, atol=1e-9)


def slow_log_likelihood(block: Block, theta: np.ndarray, nodes: int) -> float:
    """Group by group, node by node, as the textbook writes it; the mode by bisection on the derivative of g."""
    beta, sigma = theta[:-1], theta[-1]
    x_k, w_k = np.polynomial.hermite.hermgauss(nodes)
    total = 0.0
    for first, size in zip(block.starts, block.sizes, strict=True):
        rows = slice(first, first + size)
        y, z, fixed = block.y[rows], block.z[rows], block.offset[rows] + block.x[rows] @ beta

        def g(v: float, y=y, z=z, fixed=fixed) -> float:
            sign = 2 * y - 1
            return float(np.sum(log_expit(sign * (fixed + sigma * z * v)))) - v * v / 2

        def slope(v: float, y=y, z=z, fixed=fixed) -> float:
            return float(np.sum(sigma * z * (y - expit(fixed + sigma * z * v)))) - v

        low, high = -1e4, 1e4
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) > 0 else (low, middle)
        mode = (low + high) / 2
        mu = expit(fixed + sigma * z * mode)
        H = 1 + float(np.sum(sigma**2 * z**2 * mu * (1 - mu)))
        terms = [np.log(w) + x * x + g(mode + np.sqrt(2 / H) * x) for x, w in zip(x_k, w_k, strict=True)]
        total += logsumexp(terms) - 0.5 * np.log(H) - 0.5 * np.log(np.pi)
    return float(total)


@pytest.mark.parametrize("nodes", [1, 2, 3, 9, 50])
@pytest.mark.parametrize("sigma", [0.0, 0.4, 3.0])
def test_value_equals_a_slow_independent_one(nodes: int, sigma: float) -> None:
    block = random_block(7, [4, 9, 1, 30, 2])
    theta = np.array([-0.5, 0.3, 0.8, sigma])
    assert at(block, theta, nodes).value == pytest.approx(slow_log_likelihood(block, theta, nodes), abs=1e-10)


def test_many_nodes_converge_to_the_integral() -> None:
    block = random_block(3, [3, 8])
    theta = np.array([0.2, -0.4, 0.6, 1.3])
    eta = block.offset + block.x @ theta[:-1]

    def integral(rows: slice) -> float:
        sign = 2 * block.y[rows] - 1
        density = lambda v: np.exp(np.sum(log_expit(sign * (eta[rows] + 1.3 * v))) - v * v / 2)  # noqa: E731
        return np.log(quad(density, -12, 12, epsabs=1e-14)[0] / np.sqrt(2 * np.pi))

    exact = integral(slice(0, 3)) + integral(slice(3, 11))
    assert at(block, theta, 50).value == pytest.approx(exact, abs=1e-9)
    errors = [abs(at(block, theta, nodes).value - exact) for nodes in (1, 3, 9)]
    assert errors[0] > errors[1] > errors[2]


def test_without_a_random_effect_it_is_logistic_regression() -> None:
    block = random_block(5, [10, 20, 30])
    theta = np.array([0.1, 0.5, -0.7, 0.0])
    mu = expit(block.offset + block.x @ theta[:-1])
    for nodes in (1, 2, 9):
        fit = at(block, theta, nodes)
        assert fit.value == pytest.approx(np.sum(block.y * np.log(mu) + (1 - block.y) * np.log1p(-mu)), rel=1e-12)
        np.testing.assert_allclose(fit.gradient[:-1], block.x.T @ (block.y - mu), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(
            fit.hessian[:-1, :-1], -block.x.T @ (block.x * (mu * (1 - mu))[:, None]), rtol=1e-10, atol=1e-10
        )


def test_it_is_even_in_sigma() -> None:
    block = random_block(11, [5, 6, 7])
    theta = np.array([0.3, -0.2, 0.4, 0.9])
    mirrored = theta * [1, 1, 1, -1]
    a, b = at(block, theta, 5), at(block, mirrored, 5)
    assert a.value == pytest.approx(b.value, rel=1e-13)
    np.testing.assert_allclose(a.gradient, b.gradient * [1, 1, 1, -1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("intercept", [-700.0, -40.0, 40.0, 700.0])
def test_extreme_linear_predictors_stay_finite(intercept: float) -> None:
    block = random_block(2, [3, 4, 500])
    fit = at(block, np.array([intercept, 1.0, 1.0, 5.0]), 9)
    assert np.isfinite(fit.value)
    assert np.isfinite(fit.gradient).all()
    assert np.isfinite(fit.hessian).all()


def test_modes_are_stationary_points() -> None:
    block = random_block(13, [1, 2, 500, 40], slope=True)
    fixed = block.offset + block.x @ np.array([0.5, -1.0, 2.0])
    for sigma in (1e-6, 0.5, 20.0):
        v = conditional_modes(block, BINOMIAL, fixed, sigma)
        mu = expit(fixed + sigma * block.z * block.spread(v))
        np.testing.assert_allclose(block.sums(sigma * block.z * (block.y - mu)), v, atol=1e-9)


def test_blocks_do_not_change_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = random_block(17, [5, 50, 500, 1, 30])
    design = Design(
        x=whole.x, z=whole.z[:, None], y=whole.y, offset=whole.offset, weights=whole.weights, starts=whole.starts,
        group_names=tuple("abcde"), level_counts=np.zeros(0), dropped=0,
    )  # fmt: skip
    theta = np.array([0.1, 0.2, 0.3, 0.8])
    expected = at(whole, theta, 9)
    monkeypatch.setattr("fedglmm_secure.model.groups.BLOCK_ROWS", 40)
    pieces = list(blocks(design, [0, 1, 2], np.zeros(3), np.ones(3)))
    assert [piece.groups for piece in pieces] == [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 5)]
    total = at(pieces[0], theta, 9)
    for piece in pieces[1:]:
        total += at(piece, theta, 9)
    assert total.value == pytest.approx(expected.value, rel=1e-13)
    np.testing.assert_allclose(total.hessian, expected.hessian, rtol=1e-11, atol=1e-11)
