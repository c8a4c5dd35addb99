"""The answers of lme4 and glmmTMB (tests/data/reference.json), and the agreement of all ways to run a fit."""

from __future__ import annotations

import statistics

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure import FitResult, fit_pooled, rehearse

NODES = (1, 2, 5, 9, 25)
SPREADS = {
    "indo_rct": ("indo_rct", lambda table: table["site"]),
    "medpar-54-sites": ("medpar", lambda table: table["provnum"]),
    "medpar-6-sites": ("medpar", lambda table: pd.Series(pd.factorize(table["provnum"])[0] % 6, index=table.index)),
    "contraception-5-sites": ("contraception", lambda table: table["district"] % 5),
    "contraception-60-sites": ("contraception", lambda table: table["district"]),
}


@pytest.fixture(scope="session")
def fits(load_case) -> dict[tuple[str, int], FitResult]:
    """Every reference fit, federated and masked, in memory."""
    results = {}
    for spread, (name, sites) in SPREADS.items():
        case = load_case(name)
        for nodes in NODES:
            study, tables, _ = case.over(sites(case.table), nodes)
            results[spread, nodes] = rehearse(study, tables)
    return results


@pytest.mark.parametrize("nodes", NODES)
@pytest.mark.parametrize("spread", SPREADS)
def test_a_masked_fit_gives_the_reference_answer(fits, load_case, spread: str, nodes: int) -> None:
    fit, reference = fits[spread, nodes], load_case(SPREADS[spread][0]).fits[nodes]
    expected = np.array(list(reference["fixed_effects"].values()))
    errors = np.array(list(reference["std_errors"].values()))
    estimates = np.array([effect.estimate for effect in fit.fixed_effects])
    assert np.abs((estimates - expected) / errors).max() < 1e-4
    # both engines difference their Hessian with fixed steps (glmmTMB 1e-3: above one standard error of I(age ** 2))
    own_errors = np.array([effect.std_error for effect in fit.fixed_effects])
    np.testing.assert_allclose(own_errors, errors, rtol=5e-4 if nodes == 1 else 2e-3)
    (sd,) = next(iter(reference["random_sd"].values())).values()
    assert abs(fit.random_effects[0].std_dev[0] - sd) < 1e-4 * fit.random_effects[0].std_error[0]
    assert fit.log_likelihood > reference["log_likelihood"] - 1e-6
    assert fit.gradient_norm < 1e-6
    assert fit.aic == pytest.approx(reference["aic"], abs=1e-5)
    assert fit.bic == pytest.approx(reference["bic"], abs=1e-5)


def test_a_fit_takes_few_sums(fits) -> None:
    sums = [fit.security.sums for fit in fits.values()]
    assert max(sums) <= 12
    assert statistics.median(sums) <= 8


@pytest.mark.parametrize("nodes", [1, 9])
@pytest.mark.parametrize("spread", SPREADS)
def test_protection_changes_no_digit_and_pooling_none_that_matters(fits, load_case, spread: str, nodes: int) -> None:
    name, sites = SPREADS[spread]
    case = load_case(name)
    study, tables, pooled = case.over(sites(case.table), nodes)
    masked, plain = fits[spread, nodes], rehearse(study, tables, protocol="plain")
    for one, other in zip(masked.fixed_effects, plain.fixed_effects, strict=True):
        assert one == other
    assert masked.log_likelihood == plain.log_likelihood
    reference = fit_pooled(study, pooled)
    for one, other in zip(masked.fixed_effects, reference.fixed_effects, strict=True):
        assert abs(one.estimate - other.estimate) < 1e-8 * other.std_error
        assert one.std_error == pytest.approx(other.std_error, rel=1e-8)
    sd, pooled_sd = masked.random_effects[0], reference.random_effects[0]
    assert abs(sd.std_dev[0] - pooled_sd.std_dev[0]) < 1e-8 * pooled_sd.std_error[0]
    assert masked.log_likelihood == pytest.approx(reference.log_likelihood, rel=1e-10)


def test_the_trial_gives_the_published_digits(fits) -> None:
    fit = fits["indo_rct", 9]
    treatment = next(effect for effect in fit.fixed_effects if effect.name == "rx[T.1_indomethacin]")
    assert f"{treatment.estimate:.5f} {treatment.std_error:.5f}" == "-0.76594 0.26105"
    assert f"{fit.random_effects[0].std_dev[0]:.5f} {fit.log_likelihood:.5f}" == "0.54222 -217.62762"
    assert (fit.n_rows, fit.n_groups, fit.n_sites) == (602, {"site": 4}, 4)
