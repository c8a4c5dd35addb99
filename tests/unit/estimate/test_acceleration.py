"""Anderson's acceleration: a linear iteration ends once all its directions have been seen, however slow it is."""

from __future__ import annotations

import numpy as np
import pytest

from fedglmm_secure.estimate.acceleration import DEPTH, LARGEST_FACTOR, Acceleration


@pytest.mark.parametrize("rates", [(0.95,), (-0.95,), (0.9, -0.8), (0.93, 0.5, -0.85)])
def test_a_linear_iteration_ends_after_as_many_steps_as_it_has_rates(rates: tuple[float, ...]) -> None:
    rng = np.random.default_rng(len(rates))
    assert len(rates) <= DEPTH
    n = 5
    basis = rng.normal(size=(n, n))
    contraction = basis @ np.diag([*rates, *[0.0] * (n - len(rates))]) @ np.linalg.inv(basis)
    end = rng.normal(size=n)
    root = rng.normal(size=(n, n))
    curvature = root @ root.T + np.eye(n)
    acceleration, theta = Acceleration(), end + basis[:, : len(rates)] @ rng.normal(size=len(rates))
    for _ in range(len(rates) + 1):
        plain = (contraction - np.eye(n)) @ (theta - end)
        theta = theta + acceleration.step(theta, plain, curvature)
    assert theta == pytest.approx(end, abs=1e-8)


def test_the_first_step_is_the_plain_one_and_none_is_out_of_all_proportion() -> None:
    acceleration, plain = Acceleration(), np.array([1.0, 0.0])
    np.testing.assert_array_equal(acceleration.step(np.zeros(2), plain, np.eye(2)), plain)
    hardly_shorter = np.array([1.0 - 1e-4, 0.0])
    step = acceleration.step(plain, hardly_shorter, np.eye(2))
    assert np.linalg.norm(step) == pytest.approx(LARGEST_FACTOR * np.linalg.norm(hardly_shorter))
    acceleration.forget()
    np.testing.assert_array_equal(acceleration.step(np.zeros(2), plain, np.eye(2)), plain)
