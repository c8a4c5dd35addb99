"""Generalized linear models against R's glm, penalised quasi-likelihood against MASS::glmmPQL (glm_reference.json)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure import Study, fit_pooled, rehearse

REFERENCE = {
    fit["id"]: fit
    for fit in json.loads((Path(__file__).parents[1] / "data" / "glm_reference.json").read_text())["fits"]
}
GLM = [name for name in REFERENCE if name.endswith("-glm")]
PQL = [name for name in REFERENCE if name.endswith("-pql")]
GROUP = {
    "indo_rct": "site",
    "medpar": "provnum",
    "contraception": "district",
    "medpar-los": "provnum",
    "sleepstudy": "Subject",
}


def dealt(case, sites: int) -> pd.Series:
    group = GROUP[case.name.rsplit("-", 1)[0]]
    codes = pd.factorize(case.table[group])[0]
    return case.table[group] if group == "site" else pd.Series(codes % sites, index=case.table.index)


@pytest.mark.parametrize("name", GLM)
def test_glm_is_rs_glm(load_case, name: str) -> None:
    case, reference = load_case(name), REFERENCE[name]
    study, tables, pooled = case.over(dealt(case, 5), 1)
    fit = rehearse(study, tables)
    errors = np.sqrt(np.diag(reference["covariance"]))
    estimates = np.array([effect.estimate for effect in fit.fixed_effects])
    assert np.abs((estimates - list(reference["fixed_effects"].values())) / errors).max() < 1e-6
    np.testing.assert_allclose([effect.std_error for effect in fit.fixed_effects], errors, rtol=1e-5)
    assert fit.log_likelihood == pytest.approx(reference["log_likelihood"], abs=1e-6)
    assert fit.aic == pytest.approx(reference["aic"], abs=1e-6)
    assert fit.random_effects == ()
    assert fit.n_groups == {}
    if reference.get("dispersion") not in (None, 1):
        assert fit.residual_std_dev**2 == pytest.approx(reference["dispersion"], rel=1e-8)
    for one, other in zip(fit.fixed_effects, fit_pooled(study, pooled).fixed_effects, strict=True):
        assert abs(one.estimate - other.estimate) < 1e-8 * other.std_error


@pytest.mark.parametrize("name", PQL)
def test_pql_is_glmmpql(load_case, name: str) -> None:
    case, reference = load_case(name), REFERENCE[name]
    study, tables, pooled = case.over(dealt(case, 5), 1)
    fit, whole = rehearse(study, tables), fit_pooled(study, pooled)
    for one, other in zip(fit.fixed_effects, whole.fixed_effects, strict=True):
        assert abs(one.estimate - other.estimate) < 1e-8 * other.std_error
    assert fit.random_effects[0].std_dev == pytest.approx(whole.random_effects[0].std_dev, rel=1e-8)
    errors = np.sqrt(np.diag(reference["covariance"]))
    estimates = np.array([effect.estimate for effect in fit.fixed_effects])
    # lme's own optimiser stops at a relative change of about 1e-6 of its log-likelihood
    assert np.abs((estimates - list(reference["fixed_effects"].values())) / errors).max() < 1e-4
    np.testing.assert_allclose([effect.std_error for effect in fit.fixed_effects], errors, rtol=1e-2)
    assert fit.random_effects[0].std_dev[0] == pytest.approx(reference["random_sd"], rel=1e-3)
    assert fit.residual_std_dev == pytest.approx(reference["residual_scale"], rel=1e-4)
    assert fit.log_likelihood is None
    assert "quasi-likelihood" in fit.summary()


@pytest.mark.parametrize(
    ("family", "groups", "seed"),
    [("binomial", 20, 1003), ("poisson", 6, 1000)],
)
def test_pql_converges_where_its_rounds_contract_slowly(family: str, groups: int, seed: int) -> None:
    """Groups of three rows: plain rounds shorten the step by a tenth or a third only, with either sign."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), 3)
    x = rng.normal(size=g.size)
    b = rng.normal(size=(groups, 2)) * [0.8, 0.6]
    eta = -0.2 + 0.5 * x + b[g, 0] + b[g, 1] * x
    y = (rng.random(g.size) < 1.0 / (1.0 + np.exp(-eta))).astype(int) if family == "binomial" else None
    frame = pd.DataFrame({"y": rng.poisson(np.exp(eta)) if y is None else y, "x": x, "g": g})
    data = {
        "study": {"id": "slow"},
        "model": {"formula": "y ~ x + (1 | g) + (0 + x | g)", "family": family, "method": "pql"},
        "variables": {
            "y": {"type": "binary", "levels": [0, 1]} if family == "binomial" else {"type": "count"},
            "x": {"type": "numeric", "range": [-4.0, 4.0]},
            "g": {"type": "group"},
        },
    }
    fit = fit_pooled(Study.from_dict(data, "slow"), frame)
    assert fit.gradient_norm < 1e-5
    assert fit.security.sums <= 50
