"""The trust-region step against brute force, in each case of the theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_secure.estimate.trust_region import decrement, propose


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 10.0))
def test_no_point_within_the_radius_is_better(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    gradient, hessian = rng.normal(size=3), rng.normal(size=(3, 3))
    hessian = hessian + hessian.T
    step = propose(gradient, hessian, radius)
    assert np.linalg.norm(step.step) <= radius * (1 + 1e-6)
    directions = rng.normal(size=(3, 500))
    points = radius * rng.random(500) ** (1 / 3) * directions / np.linalg.norm(directions, axis=0)
    gains = gradient @ points + 0.5 * np.sum(points * (hessian @ points), axis=0)
    assert gains.max() <= step.predicted + 1e-8


def test_inside_the_radius_it_is_newtons_step() -> None:
    hessian = -np.diag([1.0, 4.0, 9.0])
    step = propose(np.array([0.1, 0.2, 0.3]), hessian, 1.0)
    np.testing.assert_allclose(step.step, [0.1, 0.05, 0.3 / 9])
    assert not step.bounded


@pytest.mark.parametrize("gradient", [[0.0, 0.0], [0.0, 0.3]])
def test_a_saddle_without_slope_is_left_along_its_way_up(gradient: list[float]) -> None:
    step = propose(np.array(gradient), np.diag([2.0, -1.0]), 0.5)
    assert abs(step.step[0]) > 0.3
    assert np.linalg.norm(step.step) == pytest.approx(0.5)
    assert step.predicted > 0.0


def test_a_flat_direction_is_bounded_by_the_radius() -> None:
    step = propose(np.array([1.0, 1.0]), np.diag([0.0, -1.0]), 3.0)
    assert step.bounded
    assert np.linalg.norm(step.step) == pytest.approx(3.0)


@given(st.integers(0, 2**32 - 1))
def test_the_decrement_is_what_newtons_step_gains(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradient, root = rng.normal(size=3), rng.normal(size=(3, 3))
    hessian = -root @ root.T - 0.1 * np.eye(3)
    assert decrement(gradient, hessian) == pytest.approx(propose(gradient, hessian, 1e6).predicted, rel=1e-6)


@pytest.mark.parametrize("last", [0.0, 1e-16, 1.0])
def test_without_a_maximum_it_is_infinite(last: float) -> None:
    assert decrement(np.array([0.0, 0.0]), np.diag([-1.0, last])) == np.inf
