"""The search alone: third derivatives from evaluated Hessians, ways out of saddles, runaways told from slow fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.newton import Trace, describe, maximise
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.search import Search
from fedglmm_secure.estimate.trust_region import Step, bend, follow, propose
from fedglmm_secure.model.answers import answer
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Design, Layout

NO_TERM, ONE_TERM = Pattern(()), Pattern((1,))


def cubic(seed: int, size: int = 3) -> tuple[Callable[[np.ndarray], Derivatives], np.ndarray]:
    """g's - s'Hs/2 + Tsss/6 with its derivatives, and T."""
    rng = np.random.default_rng(seed)
    g, root, third = 0.3 * rng.normal(size=size), rng.normal(size=(size, size)), rng.normal(size=(size,) * 3)
    places = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    third = 0.1 * sum(third.transpose(place) for place in places)
    curvature = root @ root.T + np.eye(size)

    def at(s: np.ndarray) -> Derivatives:
        bent = third @ s
        value = g @ s - 0.5 * s @ curvature @ s + s @ bent @ s / 6.0
        return Derivatives(float(value), g - curvature @ s + 0.5 * bent @ s, bent - curvature)

    return at, third


def search_to_the_end(search: Search, at: Callable[[np.ndarray], Derivatives], most: int = 12) -> int:
    """How many evaluations it took."""
    for evaluations in range(1, most + 1):
        search.consider(at(search.trial))
        if search.converged(1e-10):
            return evaluations
        search.step()
    pytest.fail(f"no end after {most} evaluations")


@pytest.mark.parametrize("seed", range(5))
def test_the_learnt_third_derivative_explains_the_change_of_the_hessian(seed: int) -> None:
    at, third = cubic(seed)
    move = 0.1 * np.random.default_rng(seed).normal(size=3)
    learnt = bend(np.zeros((3, 3, 3)), move, at(np.zeros(3)), at(move))
    np.testing.assert_allclose(learnt @ move, third @ move, atol=1e-10)
    for places in ((1, 0, 2), (2, 1, 0), (0, 2, 1)):
        np.testing.assert_allclose(learnt, learnt.transpose(places), atol=1e-10)


def test_moves_in_all_directions_teach_all_of_it() -> None:
    at, third = cubic(0)
    learnt, here = np.zeros((3, 3, 3)), np.zeros(3)
    for _ in range(60):
        for direction in np.eye(3):
            there = here + 0.05 * direction
            learnt = bend(learnt, there - here, at(here), at(there))
            here = there if here @ direction <= 0.0 else here - there
    np.testing.assert_allclose(learnt, third, atol=1e-6)


def test_what_it_learns_is_the_third_derivative_at_the_end_of_the_move() -> None:
    def quartic(s: float) -> Derivatives:
        return Derivatives(0.0, np.array([-s + s**3 / 6.0]), np.array([[-1.0 + s**2 / 2.0]]))

    learnt = bend(np.zeros((1, 1, 1)), np.array([0.2]), quartic(0.1), quartic(0.3))
    assert learnt[0, 0, 0] == pytest.approx(0.3, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_with_third_derivatives_a_step_ends_where_the_cubic_is_flat(seed: int) -> None:
    at, third = cubic(seed)
    start = at(np.zeros(3))
    newton = propose(0.2 * start.gradient, start.hessian, 10.0)
    step = follow(newton, 0.2 * start.gradient, start.hessian, third)
    slope = 0.2 * start.gradient + start.hessian @ step.step + 0.5 * (third @ step.step) @ step.step
    assert np.abs(slope).max() < 1e-8
    assert step.predicted > 0.0


def test_a_correction_by_more_than_half_the_step_is_refused() -> None:
    gradient, hessian = np.array([1.0]), np.array([[-1.0]])
    newton = propose(gradient, hessian, 10.0)
    assert follow(newton, gradient, hessian, np.full((1, 1, 1), -8.0)) is newton
    assert isinstance(newton, Step)


@pytest.mark.parametrize("peak", [0.02, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("first", [0.0, 0.01, 0.2, 2.0])
def test_a_standard_deviation_is_found_from_either_side(first: float, peak: float) -> None:
    """A mean, and 20 groups whose effects are known to 0.1: l = -10 log v - 10 (peak^2 + 0.01) / v, v = s^2 + 0.01."""

    def at(theta: np.ndarray) -> Derivatives:
        s, v, w = theta[1], theta[1] ** 2 + 0.01, peak**2 + 0.01
        by_v, by_vv = -10.0 / v + 10.0 * w / v**2, 10.0 / v**2 - 20.0 * w / v**3
        value = -10.0 * np.log(v) - 10.0 * w / v - theta[0] ** 2
        gradient = np.array([-2.0 * theta[0], 2 * s * by_v])
        return Derivatives(value, gradient, np.diag([-2.0, 2 * by_v + 4 * s * s * by_vv]))

    search = Search(np.array([0.0, first]), ONE_TERM, 20.0)
    search_to_the_end(search, at, 16)
    assert search.theta[1] == pytest.approx(peak, rel=1e-8)


@pytest.mark.parametrize("rate", [0.5, 1.0, 3.0])
def test_an_exponential_tail_runs_away(rate: float) -> None:
    def at(theta: np.ndarray) -> Derivatives:
        tail = 5.0 * np.exp(-rate * theta[0])
        return Derivatives(
            -tail - theta[1] ** 2,
            np.array([rate * tail, -2.0 * theta[1]]),
            np.diag([-(rate**2) * tail, -2.0]),
        )

    search = Search(np.array([0.0, 0.3]), NO_TERM, 20.0)
    for _ in range(8):
        search.consider(at(search.trial))
        if search.runs_away():
            break
        search.step()
    assert search.runs_away()
    assert np.argmax(np.abs(search.recent_move)) == 0
    gaussian = replace(search, scale_position=1)
    gaussian.history = search.history
    assert not gaussian.runs_away()


@pytest.mark.parametrize("start", [3.0, 6.0, 9.0])
def test_a_long_way_through_a_flat_tail_to_a_maximum_does_not(start: float) -> None:
    """A logistic regression whose maximum, at 0, is sought from far out."""

    def at(theta: np.ndarray) -> Derivatives:
        mu = 1.0 / (1.0 + np.exp(-theta[0]))
        value = -20.0 * (2.0 * np.logaddexp(0.0, theta[0]) - theta[0])
        return Derivatives(value, np.array([20.0 - 40.0 * mu]), np.array([[-40.0 * mu * (1 - mu)]]))

    search = Search(np.array([start]), NO_TERM, 20.0)
    for _ in range(20):
        search.consider(at(search.trial))
        assert not search.runs_away()
        if search.converged(1e-10):
            return
        search.step()
    pytest.fail("no end")


def flat_far_out(turned: bool, *, binary: bool) -> Search:
    """Four points that go far out in beta while its curvature falls, as sigma grows to 30; the last one turns back."""
    search = Search(np.array([0.0, 1.0]), ONE_TERM, 20.0, binary=binary)
    for theta, curvature in (([0.0, 1.0], 1.0), ([5.0, 10.0], 0.01), ([12.0, 30.0], 0.002)):
        search.trial, search.proposed = np.array(theta), None
        move = np.zeros(1) if not search.history else search.trial[:1] - search.theta[:1]
        search.consider(Derivatives(0.0, np.array([1.0, 0.0]), -curvature * np.eye(2)))
        search.history[-1] = replace(search.history[-1], move=move)
    last = replace(search.history[-1], move=np.array([-6.0 if turned else 6.0]))
    search.history.append(last)
    return search


def test_far_out_with_hardly_any_curvature_it_runs_away_if_it_goes_on() -> None:
    assert flat_far_out(False, binary=True).runs_away()
    assert not flat_far_out(True, binary=True).runs_away()


def test_counts_are_measured_by_the_spread_of_their_groups() -> None:
    """At a standard deviation of 30 a mean 12 away, known to a tenth of that spread, has run nowhere."""
    assert not flat_far_out(False, binary=False).runs_away()


def small_trial(sites: int, seed: int, sigma: float) -> tuple[Layout, list[Design]]:
    """Thirty rows a site, ten effects (Li et al. 2022, settings 5 to 8): often separated with two sites."""
    rng = np.random.default_rng(seed)
    beta = np.array([-1.5, 0.1, -0.5, -0.3, 0.4, -0.2, -0.25, 0.35, -0.1, 0.5])
    designs = []
    for site in range(sites):
        binary = [rng.random(30) < share for share in (0.1, 0.3, 0.5)]
        normal = [rng.normal(0.0, sd, 30) for sd in (0.5, 1.0, 1.5)]
        uniform = [rng.uniform(-half, half, 30) for half in (0.5, 0.7, 1.0)]
        x = np.column_stack([np.ones(30), *binary, *normal, *uniform])
        y = rng.random(30) < 1 / (1 + np.exp(-x @ beta - sigma * rng.normal()))
        starts = np.zeros(1, dtype=np.intp)
        designs.append(
            Design(
                x, np.ones((30, 1)), y.astype(float), np.zeros(30), np.ones(30), 0.0, starts, (str(site),),
                np.zeros(0), 0,
            )
        )  # fmt: skip
    centre, half = (0.0, 0.5, 0.5, 0.5, *[0.0] * 6), (1.0, 0.5, 0.5, 0.5, 2.0, 4.0, 6.0, 0.5, 0.7, 1.0)
    names = tuple(f"X{i}" for i in range(1, 11))
    return Layout(names, centre, half, 0, "site", ("Intercept",), (1,), (0.0,), (1.0,), (), "binomial"), designs


def separated(designs: list[Design], *, with_groups: bool = False) -> bool:
    """Whether some combination of columns never errs and is right in some row (Albert and Anderson 1984)."""
    x, y = np.concatenate([d.x for d in designs]), np.concatenate([d.y for d in designs])
    if with_groups:
        x = np.column_stack([x, np.repeat(np.eye(len(designs)), 30, axis=0)])
    signed = (2.0 * y - 1.0)[:, None] * x
    return bool(linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(y)), bounds=(-1.0, 1.0)).fun < -1e-6)


class Asked:
    nodes, tolerance, max_rounds = 1, 1e-10, 50


def sums_of_fit(layout: Layout, designs: list[Design]) -> tuple[int, str]:
    """How many sums, and the error's words if there was one."""
    trace = Trace(lambda _: None)

    def questions():
        start = yield from describe(layout, trace)
        return (yield from maximise(Objective(layout, start.units), start, start.theta, Asked(), trace))

    generator = questions()
    question = next(generator)
    try:
        while True:
            question = generator.send(np.sum([answer(question, layout, design) for design in designs], axis=0))
    except StopIteration:
        return len(trace.rows), ""
    except FitError as error:
        return len(trace.rows), str(error)


@pytest.mark.parametrize("seed", range(30))
def test_in_small_trials_separation_is_named_and_nothing_else_is(seed: int) -> None:
    layout, designs = small_trial(2, seed, 0.5)
    sums, error = sums_of_fit(layout, designs)
    if separated(designs):
        assert "separate the outcome's levels" in error
        assert sums <= 12
    elif not separated(designs, with_groups=True):  # where sites' effects separate, beta and sigma may both run away
        assert not error


@pytest.mark.parametrize("seed", range(5))
def test_ten_small_sites_take_few_sums(seed: int) -> None:
    layout, designs = small_trial(10, seed, 1.5)
    sums, error = sums_of_fit(layout, designs)
    assert not error
    assert sums <= 9
