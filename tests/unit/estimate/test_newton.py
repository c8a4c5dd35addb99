"""The estimator alone: its course on data that are hard, and its answer from sums it is handed."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pytest

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.newton import Maximum, Trace, describe, maximise
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.result import TraceRow
from fedglmm_secure.estimate.start import Start, independent_columns
from fedglmm_secure.model.answers import answer
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Design, Layout
from fedglmm_secure.model.questions import Question


@dataclass(frozen=True)
class Asked:
    nodes: int = 1
    tolerance: float = 1e-10
    max_rounds: int = 50


@dataclass(frozen=True)
class Fitted:
    maximum: Maximum
    start: Start
    trace: list[TraceRow]

    @property
    def theta(self) -> np.ndarray:
        return self.maximum.theta

    @property
    def at(self) -> Derivatives:
        return self.maximum.log_likelihood


def table(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> tuple[Layout, Design]:
    """A layout and a design of numeric columns, the first of them constant."""
    order = np.argsort(group, kind="stable")
    x, y, group = x[order], y[order].astype(float), group[order]
    low, high = x.min(axis=0), x.max(axis=0)
    centre, half = (low + high) / 2, np.where(high > low, (high - low) / 2, 1.0)
    centre[0] = 0.0
    names = ("Intercept", *(f"x{i}" for i in range(1, x.shape[1])))
    layout = Layout(names, tuple(centre), tuple(half), 0, "g", ("Intercept",), (1,), (0.0,), (1.0,), (), "binomial")
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    n = len(y)
    design = Design(
        x, np.ones((n, 1)), y, np.zeros(n), np.ones(n), 0.0, starts, tuple(map(str, group[starts])), np.zeros(0), 0
    )
    return layout, design


def simulated(seed: int, n: int, groups: int, sigma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(3.0, 2.0, n), rng.random(n) < 0.3])
    group = np.arange(n) % groups
    eta = x @ [-0.5, 0.3, -0.8] + sigma * rng.normal(size=groups)[group]
    return x, (rng.random(n) < 1 / (1 + np.exp(-eta))), group


def fitting(
    layout: Layout, asked: Asked, penalty: float, trace: list[TraceRow]
) -> Generator[Question, np.ndarray, Fitted]:
    sums = Trace(trace.append)
    start = yield from describe(layout, sums)
    maximum = yield from maximise(Objective(layout, start.units, penalty), start, start.theta, asked, sums)
    return Fitted(maximum, start, trace)


def fit(
    layout: Layout,
    design: Design,
    *,
    nodes: int = 1,
    max_rounds: int = 50,
    penalty: float = 0.0,
    trace: list[TraceRow] | None = None,
) -> Fitted:
    generator = fitting(layout, Asked(nodes, max_rounds=max_rounds), penalty, [] if trace is None else trace)
    return finish(generator, next(generator), layout, design)


def finish(
    generator: Generator[Question, np.ndarray, Fitted], question: Question, layout: Layout, design: Design
) -> Fitted:
    while True:
        try:
            question = generator.send(answer(question, layout, design))
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0, 6.0])
@pytest.mark.parametrize("nodes", [1, 9])
def test_it_reports_every_sum_and_ends_at_a_maximum(sigma: float, nodes: int) -> None:
    trace: list[TraceRow] = []
    fitted = fit(*table(*simulated(1, 1500, 40, sigma)), nodes=nodes, trace=trace)
    assert fitted.trace == trace
    assert [row.sum for row in trace] == list(range(1, len(trace) + 1))
    assert len(trace) <= 12
    assert np.linalg.norm(fitted.at.gradient) < 1e-6
    assert np.linalg.eigvalsh(fitted.at.hessian)[-1] < 0.0


def test_without_variation_between_groups_the_fit_is_singular_at_exactly_zero() -> None:
    x, y, _ = simulated(2, 600, 1, 0.0)
    # every group the same mix of outcomes: less variation than chance gives
    order = np.lexsort([x[:, 1], y])
    group = np.empty(600, dtype=int)
    group[order] = np.arange(600) % 20
    trace: list[TraceRow] = []
    fitted = fit(*table(x, y, group), trace=trace)
    assert fitted.theta[-1] == 0.0
    assert len(trace) <= 8


def test_a_start_at_zero_is_left_when_the_groups_differ() -> None:
    layout, design = table(*simulated(3, 1500, 40, 1.0))
    expected = fit(layout, design)
    generator = fitting(layout, Asked(), 0.0, [])
    question = next(generator)
    total = answer(question, layout, design)
    # a working model that is flat in sigma: the start is at the grid's edge, far from the maximum
    p = len(layout.columns)
    block = 1 + p + p * (p + 1) // 2
    total[-4 * block :] = np.tile(total[-4 * block : -3 * block], 4)
    question = generator.send(total)
    found = finish(generator, question, layout, design)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-7)


@pytest.mark.parametrize("kind", ["complete", "quasi"])
def test_separation_ends_in_an_error_that_names_the_column(kind: str) -> None:
    x, y, group = simulated(4, 600, 20, 0.5)
    if kind == "complete":
        x[:, 2] = y
    else:
        x[:, 2] = y & (np.random.default_rng(0).random(600) < 0.3)
    trace: list[TraceRow] = []
    with pytest.raises(FitError, match=r"the estimate of .*x2.* grows (without limit|until)") as failure:
        fit(*table(x, y, group), trace=trace)
    assert "x1" not in str(failure.value)
    assert len(trace) <= 15


def test_too_few_rounds_end_in_an_error_with_the_course() -> None:
    with pytest.raises(FitError, match=r"did not converge in 2 rounds: the log-likelihood went from -\d+.*max_rounds"):
        fit(*table(*simulated(5, 800, 30, 1.0)), max_rounds=2)


def test_a_column_that_others_determine_is_dropped_and_named() -> None:
    x, y, group = simulated(6, 800, 30, 0.7)
    redundant = np.column_stack([x, 2.0 * x[:, 1] - x[:, 2] + 5.0])
    with_it = fit(*table(redundant, y, group))
    without = fit(*table(x, y, group))
    assert with_it.start.dropped_columns == ("x3",)
    np.testing.assert_allclose(with_it.theta, without.theta, rtol=1e-8)


def test_a_column_without_variation_is_dropped() -> None:
    x, y, group = simulated(6, 800, 30, 0.7)
    fitted = fit(*table(np.column_stack([x, np.full(800, 3.0)]), y, group))
    assert fitted.start.dropped_columns == ("x3",)


def test_units_of_a_column_change_its_estimate_and_nothing_else() -> None:
    x, y, group = simulated(7, 800, 30, 0.7)
    scaled = x * [1.0, 1e-4, 1.0] + [0.0, 1e3, 0.0]
    a, b = fit(*table(x, y, group)), fit(*table(scaled, y, group))
    assert a.at.value == pytest.approx(b.at.value, rel=1e-10)
    in_units = [(m.start.units.to_table(Pattern((1,))) @ m.theta)[:-1] for m in (a, b)]
    np.testing.assert_allclose(in_units[0][1:] * [1e4, 1.0], in_units[1][1:], rtol=1e-6)


def test_the_first_of_dependent_columns_stays() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(50, 2))
    dependent = np.column_stack([np.ones(50), x[:, 0], 3 * x[:, 0] - 1, np.zeros(50), x[:, 1]])
    products = dependent.T @ dependent
    assert independent_columns(products) == (0, 1, 4)
    assert independent_columns(products, [0, 2, 3, 4, 1]) == (0, 2, 4)
    assert independent_columns(products + 1e-12 * rng.normal(size=products.shape)) == (0, 1, 4)


def test_a_penalty_tames_separation_and_its_gradient_is_zero_at_the_estimate() -> None:
    x, y, group = simulated(4, 600, 20, 0.5)
    x[:, 2] = y
    fitted = fit(*table(x, y, group), penalty=0.5)
    assert np.linalg.norm(fitted.maximum.penalised.gradient) < 1e-6
    assert fitted.at.gradient[2] == pytest.approx(2 * 0.5 * fitted.theta[2], rel=1e-5)
    assert abs(fitted.at.gradient[0]) < 1e-6


def test_a_larger_penalty_shrinks_more() -> None:
    tables = table(*simulated(9, 800, 30, 0.7))
    sizes = [np.sum(fit(*tables, penalty=penalty).theta[1:-1] ** 2) for penalty in (0.0, 1.0, 10.0, 100.0)]
    assert sizes == sorted(sizes, reverse=True)
