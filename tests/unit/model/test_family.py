"""Derivatives of each log-density against differences, in the middle and in the tails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import bernoulli

from fedglmm_secure.model.family import FAMILIES


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_each_derivative_is_the_difference_of_the_one_before(name: str) -> None:
    eta = np.linspace(-6.0, 6.0, 25)
    y, weights, step = (np.arange(25) % 2).astype(float), np.linspace(0.5, 3.0, 25), 1e-5
    exact = FAMILIES[name].derivatives(eta, y, weights, 4)
    up = FAMILIES[name].derivatives(eta + step, y, weights, 4)
    down = FAMILIES[name].derivatives(eta - step, y, weights, 4)
    for order in range(4):
        np.testing.assert_allclose((up[order] - down[order]) / (2 * step), exact[order + 1], rtol=1e-6, atol=1e-8)


def test_binomial_is_the_log_density_with_its_constants() -> None:
    eta = np.linspace(-15.0, 15.0, 61)  # beyond, the reference loses its digits
    for y in (0.0, 1.0):
        density = FAMILIES["binomial"].derivatives(eta, np.full(61, y), np.ones(61), 0)[0]
        np.testing.assert_allclose(density, bernoulli.logpmf(int(y), expit(eta)), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(FAMILIES))
@pytest.mark.parametrize("far", [0.0, 400.0])
def test_a_shift_by_group_is_an_addition(name: str, far: float) -> None:
    """Whether or not the exponential is taken apart, and whether the shift belongs to a group or to a row."""
    eta, shift = np.linspace(-6.0, 6.0, 25)[None, None, :] - far, np.array([[[-2.0], [0.0], [3.0]]])
    family = FAMILIES[name]
    expected = family.cumulants(eta + shift, np.zeros(1), 0, 4)
    for given in (shift, np.broadcast_to(shift, (1, 3, 25))):
        for value, other in zip(family.cumulants(eta, given, 0, 4), expected, strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-12, atol=1e-300)
        for value, other in zip(family.cumulants(eta, given, 1, 2), expected[1:3], strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("eta", [-800.0, 800.0])
def test_binomial_keeps_its_digits_in_the_tails(eta: float) -> None:
    values = FAMILIES["binomial"].derivatives(np.array([eta]), np.array([1.0]), np.ones(1), 4)
    assert values[0][0] == min(eta, 0.0)
    assert all(np.isfinite(value).all() for value in values)
