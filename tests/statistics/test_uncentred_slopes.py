"""Random slopes of a variable far from 0, such as a year: the same fit, in the table's own units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure import FitResult, Study, fit_pooled, rehearse
from fedglmm_secure.errors import FitError

CASES = {"sleepstudy": ("Days", "Subject"), "epil-slope": ("V4", "subject")}
SITES = 3


def shifted(case, shift: float, low: float, high: float) -> tuple[Study, dict[str, pd.DataFrame], pd.DataFrame]:
    """The study with ``shift`` added to the slope's variable, declared in [low, high], over three sites."""
    variable, group = CASES[case.name]
    sites = pd.Series(pd.factorize(case.table[group])[0] % SITES, index=case.table.index)
    study, _, pooled = case.over(sites, 1)
    data = study.model_dump()
    data["variables"][variable] = {"type": "numeric", "range": [low, high]}
    pooled[variable] += shift
    tables = {name: rows.drop(columns="site") for name, rows in pooled.groupby("site")}
    return Study.from_dict(data, case.name), tables, pooled


def at_the_origin(fit: FitResult, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations and correlations of the random terms for the variable less ``shift``."""
    (random,) = fit.random_effects
    sd = np.array(random.std_dev)
    back = np.array([[1.0, shift], [0.0, 1.0]])
    covariance = back @ (np.outer(sd, sd) * np.array(random.correlation)) @ back.T
    sd = np.sqrt(np.diag(covariance))
    return sd, covariance / np.outer(sd, sd)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("margin", [0.0, 100.0])
def test_a_year_gives_the_fit_of_the_years_since(load_case, name: str, margin: float) -> None:
    case = load_case(name)
    reference, (variable, group) = case.fits[1], CASES[name]
    high = 2000.0 + case.table[variable].max()
    study, tables, pooled = shifted(case, 2000.0, 2000.0 - margin, high + margin)
    fit = rehearse(study, tables)
    assert fit.log_likelihood == pytest.approx(reference["log_likelihood"], abs=1e-6)
    assert not fit.singular
    assert fit.security.sums <= 12
    sd, correlation = at_the_origin(fit, 2000.0)
    # the reference programs stop within about 1e-5 of the maximum
    assert sd == pytest.approx(list(reference["random_sd"][group].values()), rel=3e-5)
    assert correlation[0, 1] == pytest.approx(reference["random_correlation"][group], abs=3e-5)
    effects = {effect.name: effect.estimate for effect in fit.fixed_effects}
    assert effects[variable] == pytest.approx(reference["fixed_effects"][variable], rel=1e-4)
    again = fit_pooled(study, pooled)
    assert again.random_effects[0].std_dev == pytest.approx(fit.random_effects[0].std_dev, rel=1e-7)
    for one, other in zip(fit.fixed_effects, again.fixed_effects, strict=True):
        assert abs(one.estimate - other.estimate) < 1e-8 * other.std_error


def test_a_far_year_has_a_correlation_of_almost_one_and_no_singular_fit(load_case) -> None:
    study, _, pooled = shifted(load_case("sleepstudy"), 2000.0, 2000.0, 2009.0)
    fit = fit_pooled(study, pooled)
    ((_, correlation), _) = fit.random_effects[0].correlation
    assert -1.0 < correlation < -0.99999
    assert fit.random_effects[0].std_dev[0] == pytest.approx(2000.0 * fit.random_effects[0].std_dev[1], rel=1e-3)
    assert all(error > 0.0 for error in fit.random_effects[0].std_error)


def test_units_of_the_slope_change_nothing_else(load_case) -> None:
    case = load_case("sleepstudy")
    plain = fit_pooled(case.study, case.table)
    study, _, pooled = shifted(case, 0.0, -30.0, 60.0)
    wide = fit_pooled(study, pooled)
    assert wide.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)
    assert wide.random_effects[0].std_dev == pytest.approx(plain.random_effects[0].std_dev, rel=1e-7)
    assert wide.random_effects[0].std_error == pytest.approx(plain.random_effects[0].std_error, rel=1e-6)


@pytest.mark.parametrize("method", ["laplace", "agh", "pql"])
@pytest.mark.parametrize("random", ["(1 + x | g)", "(1 | g) + (0 + x | g)"])
def test_a_range_declared_far_too_wide_changes_nothing(random: str, method: str) -> None:
    """Years in 0 to 100,000: a slope is centred and scaled by its pooled mean and spread."""
    rng = np.random.default_rng(3)
    g = np.arange(600) % 30
    x = 2000.0 + 20.0 * rng.random(600)
    eta = -0.3 + (0.1 + 0.15 * rng.normal(size=30)[g]) * (x - 2010.0) + 0.5 * rng.normal(size=30)[g]
    frame = pd.DataFrame({"x": x, "y": (rng.random(600) < 1.0 / (1.0 + np.exp(-eta))).astype(int), "g": g})
    frame["site"] = np.array(["east", "north", "west"])[g % 3]

    def fit(low: float, high: float) -> FitResult:
        data = {
            "study": {"id": "years"},
            "model": {"formula": f"y ~ x + {random}", "family": "binomial", "method": method},
            "variables": {
                "y": {"type": "binary", "levels": [0, 1]},
                "x": {"type": "numeric", "range": [low, high]},
                "g": {"type": "group"},
            },
            "sites": [{"name": name} for name in ("east", "north", "west")],
        }
        if method == "agh":
            data["model"]["nodes"] = 5
        tables = {name: rows.drop(columns="site") for name, rows in frame.groupby("site")}
        return rehearse(Study.from_dict(data, "years"), tables)

    narrow, wide = fit(2000.0, 2020.0), fit(0.0, 100_000.0)
    assert wide.security.sums <= (15 if method != "pql" else 45)
    assert wide.log_likelihood == pytest.approx(narrow.log_likelihood, abs=1e-9)
    assert wide.random_effects[0].std_dev == pytest.approx(narrow.random_effects[0].std_dev, rel=1e-6, abs=1e-9)
    for one, other in zip(wide.fixed_effects, narrow.fixed_effects, strict=True):
        assert abs(one.estimate - other.estimate) < 1e-7 * other.std_error


@pytest.mark.parametrize("random", ["(1 + x | g)", "(1 | g) + (0 + x | g)"])
@pytest.mark.parametrize("high", [2020.0, 1e9])
def test_a_slope_of_what_hardly_varies_ends_in_a_sentence(random: str, high: float) -> None:
    """Constant, or as good as constant within its declared range: then nothing tells the slope from the intercept."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"y": rng.normal(size=90), "x": 2000.0 + 0.01 * (high > 1e8) * rng.random(90)})
    frame["g"] = np.arange(90) % 9
    data = {
        "study": {"id": "flat"},
        "model": {"formula": f"y ~ x + {random}", "family": "gaussian"},
        "variables": {
            "y": {"type": "numeric", "range": [-9.0, 9.0]},
            "x": {"type": "numeric", "range": [1990.0, high]},
            "g": {"type": "group"},
        },
    }
    with pytest.raises(FitError, match=r"the random term x hardly varies.* declare a narrower range"):
        fit_pooled(Study.from_dict(data, "flat"), frame)


@pytest.mark.parametrize("random", ["(0 + x | g)", "(1 | g) + (0 + x | g)"])
def test_without_an_intercept_in_its_brackets_a_slope_is_not_centred(random: str) -> None:
    """It would be another model: without intercepts, or uncorrelated at another place."""
    rng = np.random.default_rng(5)
    g = np.arange(400) % 20
    x = rng.uniform(2.0, 4.0, 400)
    y = 1.0 + x * (0.5 + 0.4 * rng.normal(size=20)[g]) + 0.3 * rng.normal(size=20)[g] + rng.normal(size=400)
    data = {
        "study": {"id": "slopes"},
        "model": {"formula": f"y ~ x + {random}", "family": "gaussian"},
        "variables": {
            "y": {"type": "numeric", "range": [-50.0, 50.0]},
            "x": {"type": "numeric", "range": [2.0, 4.0]},
            "g": {"type": "group"},
        },
    }
    study = Study.from_dict(data, "slopes")
    assert study.layout.z_centre == (0.0,) * len(study.layout.terms)
    fit = fit_pooled(study, pd.DataFrame({"x": x, "y": y, "g": g}))
    # the marginal likelihood, from the covariance of all rows
    same, phi = g[:, None] == g, fit.residual_std_dev
    sd = dict(zip(fit.random_effects[0].terms, fit.random_effects[0].std_dev, strict=True))
    V = phi**2 * np.eye(400) + same * (sd.get("Intercept", 0.0) ** 2 + sd["x"] ** 2 * np.outer(x, x))
    residual = y - fit.fixed_effects[0].estimate - fit.fixed_effects[1].estimate * x
    deviance = 400 * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + residual @ np.linalg.solve(V, residual)
    assert fit.log_likelihood == pytest.approx(-0.5 * deviance, abs=1e-8)


def counts(seed: int, groups: int, rows: int, sd: float) -> pd.DataFrame:
    """Counts whose groups differ by ``sd`` in level and slope of an x that lies fifty standard deviations from 0."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), rows)
    x = rng.normal(50.0, 1.0, groups * rows)
    effects = sd * rng.normal(size=(groups, 2))
    eta = 0.5 + 0.5 * (x - 50.0) + effects[group, 0] + (x - 50.0) * effects[group, 1]
    y = rng.poisson(np.exp(np.clip(eta, -20.0, 9.0)))
    return pd.DataFrame({"y": y, "x": x, "g": group, "site": np.array(["east", "north", "west"])[group % 3]})


def of_counts(random: str, **model: object) -> Study:
    return Study.from_dict(
        {
            "study": {"id": "counts"},
            "model": {"formula": f"y ~ x + {random}", "family": "poisson", **model},
            "variables": {
                "y": {"type": "count", "range": [0, 100_000]},
                "x": {"type": "numeric", "range": [40.0, 60.0]},
                "g": {"type": "group"},
            },
            "sites": [{"name": name} for name in ("east", "north", "west")],
        },
        "counts.toml",
    )


@pytest.mark.parametrize(("seed", "groups", "rows", "sd"), [(0, 30, 4, 1.5), (3, 60, 10, 1.0), (0, 60, 4, 1.5)])
@pytest.mark.parametrize("model", [{"method": "laplace"}, {"method": "agh", "nodes": 3}])
def test_independent_slopes_far_from_0_make_effects_large_and_no_runaway(
    seed: int, groups: int, rows: int, sd: float, model: dict[str, object]
) -> None:
    """Without a correlation the effects' spread is some fifty times that of the slopes: large, but finite."""
    table = counts(seed, groups, rows, sd)
    fit = fit_pooled(of_counts("(1 | g) + (0 + x | g)", **model), table)
    assert fit.random_effects[0].std_dev[0] > 10.0
    assert fit.security.sums <= 20
    assert fit_pooled(of_counts("(1 + x | g)", **model), table).log_likelihood > fit.log_likelihood
    assert fit.log_likelihood > fit_pooled(of_counts("(1 | g)", **model), table).log_likelihood
