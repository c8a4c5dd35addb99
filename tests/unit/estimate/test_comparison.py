"""Likelihood-ratio tests: the statistic, the mixture, and fits that cannot be compared."""

from __future__ import annotations

import copy

import pytest
from scipy.stats import chi2

from fedglmm_secure.errors import InputError
from fedglmm_secure.estimate.comparison import compare_results


def result(log_likelihood: float, effects: list[str], terms: list[str], parameters: int) -> dict:
    random = [{"group": "site", "terms": terms}] if terms else []
    return {
        "model": {"formula": "y ~ ...", "family": "binomial", "method": "laplace", "nodes": 1, "penalty": 0.0},
        "n_rows": 100,
        "n_sites": 4,
        "n_parameters": parameters,
        "fixed_effects": [{"name": name} for name in effects],
        "random_effects": random,
        "log_likelihood": log_likelihood,
    }


SMALL = result(-60.0, ["Intercept"], ["Intercept"], 2)
LARGE = result(-57.0, ["Intercept", "age"], ["Intercept"], 3)


def test_a_fixed_effect_is_tested_by_chi_square() -> None:
    for pair in ((SMALL, LARGE), (LARGE, SMALL)):
        comparison = compare_results(*pair)
        assert (comparison.statistic, comparison.degrees, comparison.on_boundary) == (6.0, 1, False)
        assert comparison.p_value == pytest.approx(chi2.sf(6.0, 1))


def test_a_variance_against_zero_halves_the_p_value() -> None:
    comparison = compare_results(result(-60.0, ["Intercept"], [], 1), result(-59.0, ["Intercept"], ["Intercept"], 2))
    assert comparison.on_boundary
    assert comparison.p_value == pytest.approx(0.5 * chi2.sf(2.0, 1))


def test_a_variance_with_its_covariance_mixes_two_distributions() -> None:
    slope = result(-55.0, ["Intercept"], ["Intercept", "age"], 4)
    comparison = compare_results(SMALL, slope)
    assert comparison.p_value == pytest.approx(0.5 * chi2.sf(10.0, 1) + 0.5 * chi2.sf(10.0, 2))


def test_an_equal_likelihood_on_the_boundary_is_no_evidence() -> None:
    same = compare_results(result(-60.0, ["Intercept"], [], 1), result(-60.0, ["Intercept"], ["Intercept"], 2))
    assert same.p_value == 1.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n_rows": 99}, "different numbers of rows"),
        ({"n_sites": 3}, "different numbers of sites"),
        ({"n_parameters": 2}, "same number of parameters"),
        ({"log_likelihood": None}, "penalised or has no likelihood"),
        ({"fixed_effects": [{"name": "age"}, {"name": "sex"}]}, "neither model is nested"),
        ({"random_effects": []}, "neither model is nested"),
        ({"random_effects": [{"group": "site", "terms": ["Intercept", "a", "b"]}]}, "more than one random term"),
        ({"model": LARGE["model"] | {"penalty": 1.0}}, "penalised or has no likelihood"),
        ({"model": LARGE["model"] | {"family": "poisson"}}, "different families"),
        ({"model": LARGE["model"] | {"offset": "log_time"}}, "different offsets"),
        ({"model": LARGE["model"] | {"nodes": 9}}, "different numbers of quadrature nodes"),
        ({"model": LARGE["model"] | {"formula": "death ~ ..."}}, "neither model is nested"),
    ],
)
def test_what_cannot_be_compared_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        compare_results(SMALL, copy.deepcopy(LARGE) | change)
