"""The marginal likelihood against slow, independent ones, and its derivatives against central differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit, log_expit, logsumexp

from fedglmm_secure.errors import FitError
from fedglmm_secure.model import tiles as tiling
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Design
from fedglmm_secure.model.family import FAMILIES, Binomial
from fedglmm_secure.model.groups import Block, blocks
from fedglmm_secure.model.laplace import laplace_derivatives
from fedglmm_secure.model.likelihood import log_likelihood
from fedglmm_secure.model.modes import conditional_modes, modes_of_rows
from fedglmm_secure.model.parts import TileRows
from fedglmm_secure.model.quadrature import Rule, marginal_derivatives
from fedglmm_secure.model.tensor import tensor_derivatives
from fedglmm_secure.model.tiles import tiles
from fedglmm_secure.model.units import Units

BINOMIAL = Binomial()


def random_design(
    seed: int,
    sizes: list[int],
    *,
    p: int = 3,
    q: int = 1,
    slope: bool = False,
    family: str = "binomial",
    rate: float = 1,
) -> Design:
    """Random rows, prior weights if there are slopes; for 0/1, the first group is all 0 and the second all 1."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    x = rng.normal(size=(n, p))
    x[:, 0] = 1.0
    z = rng.normal(size=(n, q))
    z[:, 0] = z[:, 0] if slope else 1.0
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    weights = rng.choice([0.5, 1.0, 3.0], size=n) if slope else np.ones(n)
    if family == "binomial":
        y = (rng.random(n) < 0.4).astype(float)
        y[: sizes[0]] = 0.0
        y[sizes[0] : sizes[0] + sizes[1]] = 1.0
    elif family == "poisson":
        y = rng.poisson(rate, size=n).astype(float)
    else:
        y = np.zeros(n)
        x[:, -1] = rng.normal(size=n)
    return Design(
        x, z, y, 0.3 * rng.normal(size=n), weights, 0.0, starts, tuple(map(str, starts)), np.zeros(0), 0
    )  # fmt: skip


def plain_units(design: Design) -> Units:
    p, q = design.x.shape[1], design.z.shape[1]
    return Units(tuple(range(p)), np.zeros(p), np.ones(p), np.zeros(q), np.ones(q), None)


def whole(design: Design) -> Block:
    return next(blocks(design, plain_units(design), design.rows))


def random_block(seed: int, sizes: list[int], *, slope: bool = False) -> Block:
    return whole(random_design(seed, sizes, slope=slope))


def at(data: Block | Design, theta: np.ndarray, nodes: int, family: str = "binomial") -> Derivatives:
    """One random term, by tiles."""
    if isinstance(data, Block):
        data = Design(
            data.x, data.z, data.y, data.offset, data.weights, 0.0, data.starts, tuple(map(str, data.starts)),
            np.zeros(0), 0,
        )  # fmt: skip
    return log_likelihood(data, plain_units(data), FAMILIES[family], Pattern((1,)), theta, nodes)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1.0))


group_sizes = st.lists(st.sampled_from([1, 2, 3, 7, 20, 90, 500]), min_size=2, max_size=6)


def differences(function, theta: np.ndarray, step: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """Gradient from values and Hessian from gradients, by central differences."""
    ups = [function(theta + step * unit) for unit in np.eye(len(theta))]
    downs = [function(theta - step * unit) for unit in np.eye(len(theta))]
    pairs = list(zip(ups, downs, strict=True))
    gradient = np.array([(up.value - down.value) / (2 * step) for up, down in pairs])
    return gradient, np.array([(up.gradient - down.gradient) / (2 * step) for up, down in pairs])


def assert_exact(function, theta: np.ndarray) -> None:
    exact = function(theta)
    gradient, hessian = differences(function, theta)
    assert relative(exact.gradient, gradient) < 1e-6
    assert relative(exact.hessian, hessian) < 1e-6
    np.testing.assert_allclose(exact.hessian, exact.hessian.T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("sigma", [0.0, 1e-3, 1.0, 5.0])
@pytest.mark.parametrize("nodes", [1, 2, 9])
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sizes=group_sizes, slope=st.booleans())
def test_gradient_and_hessian_equal_central_differences(
    nodes: int, sigma: float, family: str, seed: int, sizes: list[int], slope: bool
) -> None:
    design = random_design(seed, sizes, slope=slope, family=family)
    poisson = family == "poisson"  # whose e^eta leaves what differences can resolve sooner
    beta = np.random.default_rng(seed).normal(scale=0.2 if poisson else 0.5, size=3)
    theta = np.append(beta, min(sigma, 1.0) if poisson else sigma)
    assert_exact(lambda theta: at(design, theta, nodes, family), theta)


PATTERNS = {1: [(1,)], 2: [(2,), (1, 1)], 3: [(3,), (2, 1), (1, 1, 1)]}
CASES = [(q, blocks) for q, every in PATTERNS.items() for blocks in every]


def lambdas(pattern: Pattern) -> dict[str, np.ndarray]:
    """Entries tau: an ordinary point, Lambda = 0, and one zero column."""
    rng = np.random.default_rng(pattern.size)
    tau = rng.normal(scale=0.3, size=pattern.size)
    tau[pattern.diagonal] = 0.5
    return {"ordinary": tau, "zero": 0 * tau, "zero column": tau * (pattern.entries[1] != pattern.q - 1)}


@pytest.mark.parametrize("kind", ["ordinary", "zero", "zero column"])
@pytest.mark.parametrize(("q", "correlated"), CASES)
@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("nodes", [1, 3])
def test_several_terms_equal_central_differences(
    nodes: int, family: str, q: int, correlated: tuple[int, ...], kind: str
) -> None:
    pattern = Pattern(correlated)
    design = random_design(29, [3, 5, 1, 40, 12], q=q, slope=True, family=family)
    theta = np.r_[0.2, -0.3, 0.4, lambdas(pattern)[kind]]

    def function(theta: np.ndarray) -> Derivatives:
        block, rule = whole(design), Rule.of(nodes)
        if nodes == 1:
            return laplace_derivatives(block, FAMILIES[family], theta, pattern)
        return tensor_derivatives(block, FAMILIES[family], theta, pattern, rule)

    assert_exact(function, theta)


@pytest.mark.parametrize(("q", "correlated"), CASES)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_tensor_product_of_one_node_is_laplace(family: str, q: int, correlated: tuple[int, ...]) -> None:
    pattern = Pattern(correlated)
    block = whole(random_design(31, [3, 5, 1, 40, 12], q=q, slope=True, family=family))
    theta = np.r_[0.2, -0.3, 0.4, lambdas(pattern)["ordinary"]]
    one = tensor_derivatives(block, FAMILIES[family], theta, pattern, Rule.of(1))
    assert_same(one, laplace_derivatives(block, FAMILIES[family], theta, pattern), hessian=1e-8)


@pytest.mark.parametrize("slope", [False, True])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_for_one_term_all_three_agree(family: str, slope: bool) -> None:
    pattern, design = Pattern((1,)), random_design(37, [3, 5, 1, 40, 12], slope=slope, family=family)
    block, theta = whole(design), np.array([0.2, -0.3, 0.4, 0.8])
    laplace = laplace_derivatives(block, FAMILIES[family], theta, pattern)
    tensor = tensor_derivatives(block, FAMILIES[family], theta, pattern, Rule.of(5))
    assert_same(laplace, at(design, theta, 1, family))
    assert_same(tensor, at(design, theta, 5, family), hessian=1e-8)


def assert_same(a: Derivatives, b: Derivatives, hessian: float = 1e-11) -> None:
    assert a.value == pytest.approx(b.value, rel=1e-12)
    assert relative(a.gradient, b.gradient) < 1e-11
    assert relative(a.hessian, b.hessian) < hessian


@pytest.mark.parametrize("nodes", [1, 9])
def test_poisson_counts_in_the_thousands(nodes: int) -> None:
    design = random_design(41, [3, 5, 1, 40, 12], slope=False, family="poisson", rate=5000.0)
    theta = np.array([8.5, 0.02, -0.03, 0.3])
    gradient, hessian = differences(lambda theta: at(design, theta, nodes, "poisson"), theta, 1e-4)
    exact = at(design, theta, nodes, "poisson")
    assert relative(exact.gradient, gradient) < 1e-5  # the value is near 10^7, of which differences keep ten digits
    assert relative(exact.hessian, hessian) < 1e-6


def slow_log_likelihood(block: Block, theta: np.ndarray, nodes: int) -> float:
    """Group by group, node by node, as the textbook writes it; the mode by bisection on the derivative of g."""
    beta, sigma = theta[:-1], theta[-1]
    x_k, w_k = np.polynomial.hermite.hermgauss(nodes)
    total = 0.0
    for first, size in zip(block.starts, block.sizes, strict=True):
        rows = slice(first, first + size)
        y, z, fixed = block.y[rows], block.z[rows, 0], block.offset[rows] + block.x[rows] @ beta

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


@pytest.mark.parametrize("terms", [1, 2])
@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("intercept", [-2000.0, -700.0, -300.0, -40.0, 40.0, 300.0, 700.0, 2000.0])
def test_extreme_linear_predictors_stay_finite(intercept: float, nodes: int, terms: int) -> None:
    design, pattern = random_design(2, [3, 4, 500], q=terms), Pattern((terms,))
    theta = np.r_[intercept, 1.0, 1.0, np.full(pattern.size, 5.0)]
    fit = log_likelihood(design, plain_units(design), BINOMIAL, pattern, theta, nodes)
    assert np.isfinite(fit.value)
    assert np.isfinite(fit.gradient).all()
    assert np.isfinite(fit.hessian).all()


@pytest.mark.parametrize("terms", [1, 2])
@pytest.mark.parametrize("intercept", [400.0, 800.0])
def test_a_poisson_mean_out_of_range_is_refused(intercept: float, terms: int) -> None:
    design, pattern = random_design(2, [3, 4, 500], q=terms, family="poisson"), Pattern((terms,))
    theta = np.r_[intercept, 1.0, 1.0, np.full(pattern.size, 0.5)]
    with pytest.raises(FitError, match="out of range"):
        log_likelihood(design, plain_units(design), FAMILIES["poisson"], pattern, theta, 3)


def test_modes_are_stationary_points() -> None:
    design = random_design(13, [1, 2, 500, 40], q=2, slope=True)
    block = whole(design)
    fixed = block.offset + block.x @ np.array([0.5, -1.0, 2.0])
    for sigma in (0.0, 1e-6, 0.5, 20.0):
        s = block.z @ np.array([[sigma, 0.0], [0.3 * sigma, sigma]])
        v = conditional_modes(block, BINOMIAL, fixed, s)
        residual = block.weights * (block.y - expit(fixed + np.sum(s * block.spread(v.T).T, axis=1)))
        np.testing.assert_allclose(block.sums(s.T * residual).T, v, atol=1e-9)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_modes_of_tiles_are_those_of_blocks(family: str) -> None:
    design = random_design(43, [4, 4, 9, 30], slope=True, family=family)
    block, (tile,) = whole(design), tiles(design, plain_units(design))
    beta = np.array([0.5, -1.0, 0.2])
    v = modes_of_rows(TileRows.of(tile, FAMILIES[family], beta, 0.8, map))
    expected = conditional_modes(block, FAMILIES[family], block.offset + block.x @ beta, 0.8 * block.z)
    np.testing.assert_allclose(v, expected[:, 0], rtol=1e-12)


def test_blocks_do_not_change_the_sum() -> None:
    design = random_design(17, [5, 50, 500, 1, 30], q=2)
    pattern, theta = Pattern((2,)), np.array([0.1, 0.2, 0.3, 0.8, 0.1, 0.4])
    pieces = list(blocks(design, plain_units(design), 40))
    assert [piece.groups for piece in pieces] == [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 5)]
    total = sum((laplace_derivatives(piece, BINOMIAL, theta, pattern) for piece in pieces), Derivatives.zero(6))
    assert_same(total, laplace_derivatives(whole(design), BINOMIAL, theta, pattern))


@pytest.mark.parametrize("slope", [False, True])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_tiles_and_pieces_do_not_change_the_sum(monkeypatch: pytest.MonkeyPatch, family: str, slope: bool) -> None:
    design = random_design(19, [5, 50, 400, 1, 1, 30, 30, 30, 4, 150], slope=slope, family=family)
    theta = np.array([0.1, 0.2, 0.3, 0.8])
    everything = Units((0, 1, 2), np.array([0.0, 0.2, -0.1]), np.array([1.0, 2.0, 0.7]), np.zeros(1), np.ones(1), 0)

    def result() -> Derivatives:
        return log_likelihood(design, everything, FAMILIES[family], Pattern((1,)), theta, 4)

    (tile,) = tiles(design, everything)
    expected = marginal_derivatives(tile, FAMILIES[family], theta, Rule.of(4))
    assert_same(result(), expected)
    for piece, long, total in ((64, 40, 128), (7, 3, 20), (1, 1, 1)):
        monkeypatch.setattr(tiling, "PIECE_ROWS", piece)
        monkeypatch.setattr(tiling, "LONG", long)
        monkeypatch.setattr(tiling, "TILE_ROWS", total)
        assert len(list(tiles(design, everything))) > 2
        first = result()
        assert_same(first, expected)
        again = result()
        assert (first.value, first.hessian.tolist()) == (again.value, again.hessian.tolist())


def test_a_tile_holds_each_row_once() -> None:
    rng = np.random.default_rng(3)
    design = random_design(23, rng.integers(1, 400, size=200).tolist())
    every = list(tiles(design, plain_units(design)))
    rows = sum(tile.shape[0] * tile.shape[1] for tile in every)
    weights = sum(float(np.sum(tile.weighted(np.ones(tile.shape)))) for tile in every)
    assert weights == design.rows
    assert rows < 1.25 * design.rows
    assert len(every) < 30


def test_dropped_columns_are_left_out() -> None:
    design = random_design(47, [5, 6, 7], p=4)
    kept = Units((0, 1, 3), np.array([0.0, 0.1, 0.2]), np.array([1.0, 2.0, 3.0]), np.zeros(1), np.ones(1), 0)
    theta = np.array([0.1, 0.2, 0.3, 0.8])
    table = Design(
        (design.x[:, [0, 1, 3]] - kept.centre) / kept.scale, design.z, design.y, design.offset, design.weights, 0.0,
        design.starts, design.group_names, np.zeros(0), 0,
    )  # fmt: skip
    assert_same(log_likelihood(design, kept, BINOMIAL, Pattern((1,)), theta, 3), at(table, theta, 3))


@pytest.mark.parametrize("correlated", [(), (1,), (2,)])
def test_no_rows_add_nothing(correlated: tuple[int, ...]) -> None:
    pattern = Pattern(correlated)
    design = Design(
        np.zeros((0, 2)), np.zeros((0, pattern.q)), np.zeros(0), np.zeros(0), np.zeros(0), 0.0,
        np.zeros(0, dtype=np.intp), (), np.zeros(0), 0,
    )  # fmt: skip
    fit = log_likelihood(design, plain_units(design), BINOMIAL, pattern, np.zeros(2 + pattern.size), 3)
    assert (fit.value, np.abs(fit.hessian).max()) == (0.0, 0.0)
