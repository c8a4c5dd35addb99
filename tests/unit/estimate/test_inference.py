"""From parameters to what is reported of the random effects, by differences and by the model's own algebra."""

from __future__ import annotations

import numpy as np
import pytest

from fedglmm_secure.estimate.inference import Estimates
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.design import Layout


def layout(terms: tuple[str, ...], blocks: tuple[int, ...], z_centre: tuple[float, ...]) -> Layout:
    return Layout(("Intercept",), (0.0,), (1.0,), 0, "g", terms, blocks, z_centre, (1.0,) * len(terms), (), "binomial")


SLOPES = layout(("Intercept", "x", "h", "w"), (3, 1), (0.0, 2010.0, 0.5, 0.0))
NEAR = layout(("Intercept", "x", "h"), (3,), (0.0, 2.0, 0.5))
LATER = layout(("h", "x", "Intercept"), (1, 2), (0.0, -3.0, 0.0))


def estimates(given: Layout, tau: np.ndarray, seed: int) -> Estimates:
    size = 1 + len(tau)
    root = 0.1 * np.random.default_rng(seed).normal(size=(size, size))
    return Estimates(np.zeros(1), tau, np.array(given.z_centre), None, root @ root.T, singular=False)


@pytest.mark.parametrize("given", [SLOPES, LATER])
@pytest.mark.parametrize("seed", range(3))
def test_effects_in_table_units_are_those_of_the_centred_ones_at_every_value(given: Layout, seed: int) -> None:
    """The standard deviation of a group's linear predictor does not depend on where the terms are centred."""
    rng = np.random.default_rng(seed)
    tau = rng.normal(size=Pattern(given.blocks).size)
    random = estimates(given, tau, seed).random_effects(given)
    covariance = np.outer(random.sd, random.sd) * random.correlation
    Lambda = Pattern(given.blocks).factor(tau)
    for _ in range(5):
        z = np.where(np.array(given.terms) == "Intercept", 1.0, rng.normal(size=len(given.terms)))
        centred = z - np.array(given.z_centre)
        expected = np.sum((centred @ Lambda) ** 2)
        assert z @ covariance @ z == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("given", [SLOPES, LATER, NEAR])
@pytest.mark.parametrize(("of", "errors"), [("sd", "errors"), ("correlation", "correlation_errors")])
def test_their_standard_errors_are_the_delta_methods(given: Layout, of: str, errors: str) -> None:
    tau = np.random.default_rng(7).normal(size=Pattern(given.blocks).size)
    here = estimates(given, tau, 7)
    step = 1e-5

    def value(at: np.ndarray) -> np.ndarray:
        return np.ravel(getattr(estimates(given, at, 7).random_effects(given), of))

    jacobian = np.column_stack([(value(tau + h) - value(tau - h)) / (2.0 * step) for h in step * np.eye(len(tau))])
    expected = np.sqrt(np.diag(jacobian @ here.covariance[1:, 1:] @ jacobian.T))
    found = np.ravel(getattr(here.random_effects(given), errors))
    # a correlation of -1 to six digits has no more digits of its own
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0.0 if of == "sd" else 1e-10)
