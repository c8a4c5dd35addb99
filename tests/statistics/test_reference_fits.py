"""The answers of lme4 and glmmTMB (tests/data/reference.json), and the agreement of all ways to run a fit."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure import FitResult, fit_pooled, rehearse

QUADRATURE = (1, 2, 5, 9, 25)


@dataclass(frozen=True)
class Spread:
    """A data set over sites: how its rows are divided, and for how many nodes there are reference fits."""

    case: str
    sites: Callable[[pd.DataFrame], pd.Series]
    nodes: tuple[int, ...] = QUADRATURE
    constants_in_y: bool = False
    """lme4's log-likelihood for nAGQ > 1 leaves out constants in y when the response is not 0/1; ours never does."""


def dealt(column: str, sites: int) -> Callable[[pd.DataFrame], pd.Series]:
    """Whole groups dealt to sites in turn."""
    return lambda table: pd.Series(pd.factorize(table[column])[0] % sites, index=table.index)


SPREADS = {
    "indo_rct": Spread("indo_rct", lambda table: table["site"]),
    "medpar-54-sites": Spread("medpar", lambda table: table["provnum"]),
    "medpar-6-sites": Spread("medpar", dealt("provnum", 6)),
    "contraception-5-sites": Spread("contraception", dealt("district", 5)),
    "contraception-60-sites": Spread("contraception", lambda table: table["district"]),
    "medpar-los": Spread("medpar-los", dealt("provnum", 6), constants_in_y=True),
    "cbpp": Spread("cbpp", dealt("herd", 3), constants_in_y=True),
    "epil": Spread("epil", dealt("subject", 4), constants_in_y=True),
    "contraception-slope": Spread("contraception-slope", dealt("district", 5), (1,)),
    "epil-slope": Spread("epil-slope", dealt("subject", 4), (1,)),
    "sleepstudy": Spread("sleepstudy", dealt("Subject", 3), (1,)),
}
FITS = [(name, nodes) for name, spread in SPREADS.items() for nodes in spread.nodes]


@pytest.fixture(scope="session")
def fit_of(load_case) -> Callable[[str, int], FitResult]:
    """A reference fit, federated and masked, in memory."""

    @cache
    def fit(name: str, nodes: int) -> FitResult:
        spread = SPREADS[name]
        case = load_case(spread.case)
        study, tables, _ = case.over(spread.sites(case.table), nodes)
        return rehearse(study, tables)

    return fit


@pytest.mark.parametrize(("name", "nodes"), FITS)
def test_a_masked_fit_gives_the_reference_answer(fit_of, load_case, name: str, nodes: int) -> None:
    fit, spread = fit_of(name, nodes), SPREADS[name]
    reference = load_case(spread.case).fits[nodes]
    gain = 0.0
    if nodes == 1 or not spread.constants_in_y:
        gain = fit.log_likelihood - reference["log_likelihood"]
        assert gain > -1e-6
        assert fit.aic == pytest.approx(reference["aic"], abs=1e-5)
        assert fit.bic == pytest.approx(reference["bic"], abs=1e-5)
    # an engine whose log-likelihood is lower by `gain` stopped sqrt(2 gain) standard errors before the maximum
    allowed = 1e-4 + np.sqrt(2.0 * max(gain, 0.0))
    expected = np.array(list(reference["fixed_effects"].values()))
    errors = np.array(list(reference["std_errors"].values()))
    estimates = np.array([effect.estimate for effect in fit.fixed_effects])
    assert np.abs((estimates - expected) / errors).max() < allowed
    # both engines difference their Hessian with fixed steps (glmmTMB 1e-3: above one standard error of I(age ** 2))
    own_errors = np.array([effect.std_error for effect in fit.fixed_effects])
    np.testing.assert_allclose(own_errors, errors, rtol=5e-4 if nodes == 1 else 2e-3)
    assert fit.gradient_norm < 1e-6
    (random,) = fit.random_effects
    sds = np.array(list(next(iter(reference["random_sd"].values())).values()))
    assert np.abs((np.array(random.std_dev) - sds) / np.array(random.std_error)).max() < allowed
    if len(sds) > 1:
        (correlation,) = np.ravel(next(iter(reference["random_correlation"].values())))
        assert random.correlation[0][1] == pytest.approx(correlation, abs=1e-4)
    if reference["residual_sd"] is not None:
        assert fit.residual_std_dev == pytest.approx(reference["residual_sd"], rel=1e-6)


@pytest.mark.parametrize("name", [name for name, spread in SPREADS.items() if spread.constants_in_y])
def test_constants_of_the_density_are_the_same_for_any_number_of_nodes(fit_of, load_case, name: str) -> None:
    """What lme4 leaves out for nAGQ > 1 does not depend on nAGQ, so differences between nodes must agree with its."""
    reference = load_case(SPREADS[name].case).fits
    ours = [fit_of(name, nodes).log_likelihood - fit_of(name, 2).log_likelihood for nodes in (5, 9, 25)]
    theirs = [reference[nodes]["log_likelihood"] - reference[2]["log_likelihood"] for nodes in (5, 9, 25)]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_fit_takes_few_sums(fit_of) -> None:
    sums = [fit_of(*which).security.sums for which in FITS]
    assert max(sums) <= 12
    assert statistics.median(sums) <= 7


@pytest.mark.parametrize(("name", "nodes"), [(name, nodes) for name, nodes in FITS if nodes in (1, 9)])
def test_protection_changes_no_digit_and_pooling_none_that_matters(fit_of, load_case, name: str, nodes: int) -> None:
    spread = SPREADS[name]
    case = load_case(spread.case)
    study, tables, pooled = case.over(spread.sites(case.table), nodes)
    masked, plain = fit_of(name, nodes), rehearse(study, tables, protocol="plain")
    for one, other in zip(masked.fixed_effects, plain.fixed_effects, strict=True):
        assert one == other
    assert masked.log_likelihood == plain.log_likelihood
    reference = fit_pooled(study, pooled)
    for one, other in zip(masked.fixed_effects, reference.fixed_effects, strict=True):
        assert abs(one.estimate - other.estimate) < 1e-8 * other.std_error
        assert one.std_error == pytest.approx(other.std_error, rel=1e-8)
    random, pooled_random = masked.random_effects[0], reference.random_effects[0]
    for one, other, error in zip(random.std_dev, pooled_random.std_dev, pooled_random.std_error, strict=True):
        assert abs(one - other) < 1e-8 * error
    assert masked.log_likelihood == pytest.approx(reference.log_likelihood, rel=1e-10)


def test_the_trial_gives_the_published_digits(fit_of) -> None:
    fit = fit_of("indo_rct", 9)
    treatment = next(effect for effect in fit.fixed_effects if effect.name == "rx[T.1_indomethacin]")
    assert f"{treatment.estimate:.5f} {treatment.std_error:.5f}" == "-0.76594 0.26105"
    assert f"{fit.random_effects[0].std_dev[0]:.5f} {fit.log_likelihood:.5f}" == "0.54222 -217.62762"
    assert (fit.n_rows, fit.n_groups, fit.n_sites) == (602, {"site": 4}, 4)


@pytest.mark.parametrize(
    ("name", "correlation", "error"),
    [("sleepstudy", 0.08132593511, 0.323502975098), ("epil-slope", -0.797640471223, 0.236911469813)],
)
def test_a_correlation_has_glmmtmbs_standard_error(fit_of, name: str, correlation: float, error: float) -> None:
    """glmmTMB 1.1.5, whose theta is r / sqrt(1 - r^2): its standard error times (1 - r^2)^(3/2)."""
    fit = fit_of(next(each for each, nodes in FITS if each.startswith(name) and nodes == 1), 1)
    (random,) = fit.random_effects
    assert random.correlation[1][0] == pytest.approx(correlation, abs=1e-4)
    assert random.correlation_std_error[1][0] == pytest.approx(error, rel=1e-3)
    assert random.correlation_std_error[0][1] == random.correlation_std_error[1][0]
    assert random.correlation_std_error[0][0] is None
    assert f"{correlation:.3f} ({error:.3f})" in fit.summary()
