"""A site's own report: the conditional modes solve their equations at the public estimates."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from fedglmm_secure import Study, fit_pooled
from fedglmm_secure.errors import PeerError
from fedglmm_secure.estimate.local import local_report


def study(family: str, formula: str) -> Study:
    outcome = (
        {"type": "binary", "levels": [0, 1]} if family == "binomial" else {"type": "numeric", "range": [-100, 100]}
    )
    return Study.from_dict(
        {
            "study": {"id": "local"},
            "model": {"formula": formula, "family": family},
            "variables": {"y": outcome, "x": {"type": "numeric", "range": [-5, 15]}, "g": {"type": "group"}},
        },
        "local.toml",
    )


def table(family: str) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.normal(size=600).clip(-4, 4), "g": np.arange(600) % 15})
    effect, slope = rng.normal(size=15)[frame["g"]], 1.2 * rng.normal(size=15)[frame["g"]]
    eta = 0.5 + (0.8 + slope) * frame["x"] + effect
    frame["y"] = rng.random(600) < expit(eta) if family == "binomial" else eta + 2.0 * rng.normal(size=600)
    return frame


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (1 + x | g)"])
@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_modes_solve_the_penalised_score_equations(family: str, formula: str) -> None:
    given, frame = study(family, formula), table(family)
    fit = fit_pooled(given, frame)
    report = local_report(given, "a", given.design(frame, "a", "a.csv"), 5, fit.to_json())
    beta = {effect.name: effect.estimate for effect in fit.fixed_effects}
    (random,) = fit.random_effects
    covariance = np.outer(random.std_dev, random.std_dev) * np.array(random.correlation)
    assert len(report["groups"]) == 15
    for group in report["groups"]:
        rows = frame[frame["g"] == int(group["group"])]
        z = np.column_stack([np.ones(len(rows)), rows["x"]])[:, : len(random.terms)]
        mode = np.array([group["mode"][term] for term in random.terms])
        eta = beta["Intercept"] + beta["x"] * rows["x"] + z @ mode
        residual = rows["y"] - expit(eta) if family == "binomial" else (rows["y"] - eta) / fit.residual_std_dev**2
        np.testing.assert_allclose(covariance @ z.T @ residual.astype(float), mode, atol=1e-7)
        weights = expit(eta) * expit(-eta) if family == "binomial" else np.full(len(rows), fit.residual_std_dev**-2)
        spread = np.linalg.inv(z.T @ (z * np.asarray(weights)[:, None]) + np.linalg.inv(covariance))
        np.testing.assert_allclose([group["std_dev"][t] for t in random.terms], np.sqrt(np.diag(spread)), rtol=1e-6)


@pytest.mark.parametrize(
    "change", [{"fixed_effects": [{"name": "other", "estimate": 1.0}]}, {"random_effects": []}, {"fixed_effects": 3}]
)
def test_a_result_that_is_not_the_studys_is_refused(change: dict) -> None:
    given, frame = study("binomial", "y ~ x + (1 | g)"), table("binomial")
    content = json.loads(fit_pooled(given, frame).to_json()) | change
    with pytest.raises(PeerError, match="the coordinator's result"):
        local_report(given, "a", given.design(frame, "a", "a.csv"), 5, json.dumps(content))
