"""Likelihood-ratio tests: the statistic, the mixture, and fits that cannot be compared."""

from __future__ import annotations

import copy

import pytest
from scipy.stats import chi2

from fedglmm_secure.errors import InputError
from fedglmm_secure.estimate.comparison import compare_results


def result(log_likelihood: float, effects: list[str], terms: list[str], parameters: int) -> dict:
    """A fit of these fixed effects and correlated random terms, as much of it as a comparison looks at."""
    random = [{"group": "site", "terms": terms}] if terms else []
    written = [" + ".join("1" if name == "Intercept" else name for name in names) for names in (effects, terms)]
    formula = f"y ~ {written[0]} + ({written[1]} | site)" if terms else f"y ~ {written[0]}"
    return {
        "model": {"formula": formula, "family": "binomial", "method": "laplace", "nodes": 1, "penalty": 0.0},
        "n_rows": 100,
        "n_sites": 4,
        "n_parameters": parameters,
        "fixed_effects": [{"name": name} for name in effects],
        "random_effects": random,
        "log_likelihood": log_likelihood,
    }


SMALL = result(-60.0, ["Intercept"], ["Intercept"], 2)
LARGE = result(-57.0, ["Intercept", "age"], ["Intercept"], 3)


def fitted(formula: str, names: str, parameters: int) -> dict:
    """A fit with this formula, whose fixed effects got these names."""
    fit = result(-50.0 + parameters, names.split(), [], parameters)
    fit["model"]["formula"] = formula
    if "|" in formula:
        fit["random_effects"] = [{"group": "g", "terms": ["Intercept", "x"] if "x |" in formula else ["Intercept"]}]
    return fit


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
        ({"model": LARGE["model"] | {"formula": "y ~ 0 + age + sex + (1 | site)"}}, "neither model is nested"),
        ({"model": LARGE["model"] | {"formula": "y ~ age + sex"}}, "neither model is nested"),
        ({"model": LARGE["model"] | {"formula": "y ~ age + (1 | doctor)"}}, "neither model is nested"),
        ({"random_effects": [{"group": "site", "terms": ["Intercept", "a", "b"]}]}, "more than one random term"),
        ({"model": LARGE["model"] | {"penalty": 1.0}}, "penalised or has no likelihood"),
        ({"model": LARGE["model"] | {"family": "poisson"}}, "different families"),
        ({"model": LARGE["model"] | {"offset": "log_time"}}, "different offsets"),
        ({"model": LARGE["model"] | {"nodes": 9}}, "different numbers of quadrature nodes"),
        ({"model": LARGE["model"] | {"formula": "death ~ age + (1 | site)"}}, "neither model is nested"),
    ],
)
def test_what_cannot_be_compared_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        compare_results(SMALL, copy.deepcopy(LARGE) | change)


AB = "Intercept a[T.2] b[T.2]"


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        # x dropped, which in the larger model is only part of an interaction, coded in full
        (("y ~ a + x", "Intercept a[T.2] x", 3), ("y ~ a + a:x", "Intercept a[T.2] a[1]:x a[2]:x", 4)),
        (("y ~ a + b", AB, 3), ("y ~ a:b", "Intercept b[T.2] a[T.2]:b[1] a[T.2]:b[2]", 4)),
        (("y ~ x:a", "Intercept a[1]:x a[2]:x", 3), ("y ~ b + a*x", f"{AB} x a[T.2]:x", 5)),
        (("y ~ 1", "Intercept", 1), ("y ~ 0 + a", "a[1] a[2]", 2)),
        (("y ~ b:a + w", f"{AB} a[T.2]:b[T.2] w", 5), ("y ~ w + a*b + x", f"{AB} w a[T.2]:b[T.2] x", 6)),
        (("y ~ log(x):w", "Intercept log(x):w", 2), ("y ~ z + w:log(x)", "Intercept z w:log(x)", 3)),
        (("y ~ x", "Intercept x", 2), ("y ~ x + (1 | g)", "Intercept x", 3)),
        (("y ~ x + (1 | g)", "Intercept x", 3), ("y ~ x + (1 + x | g)", "Intercept x", 5)),
        (("y ~ x + (1 | g) + (0 + x | g)", "Intercept x", 4), ("y ~ x + (x | g)", "Intercept x", 5)),
    ],
)
def test_nested_models_are_recognised_whatever_their_coding_and_order(smaller: tuple, larger: tuple) -> None:
    comparison = compare_results(fitted(*larger), fitted(*smaller))
    assert comparison.degrees == larger[2] - smaller[2]


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (("y ~ x:a", "Intercept a[1]:x a[2]:x", 3), ("y ~ x + a + b", f"{AB} x", 4)),
        (("y ~ a:b", "Intercept b[T.2] a[T.2]:b[1] a[T.2]:b[2]", 4), ("y ~ a + b + x + w", f"{AB} x w", 5)),
        (("y ~ 1", "Intercept", 1), ("y ~ 0 + x + w", "x w", 2)),
        (("y ~ x + (x | g)", "Intercept x", 5), ("y ~ x*w*z + (1 | g) + (0 + x | g)", "Intercept x w z x:w", 11)),
    ],
)
def test_others_are_not(smaller: tuple, larger: tuple) -> None:
    with pytest.raises(InputError, match="neither model is nested"):
        compare_results(fitted(*smaller), fitted(*larger))
