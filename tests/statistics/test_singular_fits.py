"""Small data sets whose several random terms have a variance of 0 or a correlation of +-1 (singular.csv)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure import Study, fit_pooled, rehearse

DATA = Path(__file__).parents[1] / "data"
REFERENCE = {fit["data"]: fit for fit in json.loads((DATA / "singular_reference.json").read_text())["fits"]}
ROWS = pd.read_csv(DATA / "singular.csv")
SITES = ("east", "north", "west")
OUTCOMES = {
    "binomial": {"type": "binary", "levels": [0, 1]},
    "poisson": {"type": "count"},
    "gaussian": {"type": "numeric", "range": [-30.0, 30.0]},
}


def study_and_rows(number: int) -> tuple[Study, pd.DataFrame]:
    """The model of the reference, and its rows with a site for every third group."""
    reference = REFERENCE[number]
    rows = ROWS.loc[ROWS["data"] == number, ["y", "x", "h", "g"]]
    if reference["family"] != "gaussian":
        rows = rows.astype({"y": int})
    study = Study.from_dict(
        {
            "study": {"id": f"singular-{number}"},
            "model": {"formula": reference["formula"], "family": reference["family"]},
            "variables": {
                "y": OUTCOMES[reference["family"]],
                "x": {"type": "numeric", "range": [-4.0, 4.0]},
                "h": {"type": "binary", "levels": [0, 1]},
                "g": {"type": "group"},
            },
            "disclosure": {"minimum_cell": 1, "few_groups": "allow"},
            "sites": [{"name": name} for name in SITES],
        },
        f"singular-{number}",
    )
    return study, rows.assign(site=np.array(SITES)[rows["g"] % 3])


@pytest.mark.parametrize("number", REFERENCE)
def test_a_singular_fit_ends_at_the_maximum_in_few_sums(number: int) -> None:
    study, rows = study_and_rows(number)
    fit = fit_pooled(study, rows)
    reference = max(REFERENCE[number][program] for program in ("lme4", "glmmTMB"))
    assert fit.log_likelihood > reference - 1e-6
    assert fit.log_likelihood < reference + 2e-4  # by as much as the better one stops short
    assert fit.security.sums <= 14
    assert fit.singular
    assert fit.gradient_norm < 1e-5


@pytest.mark.parametrize("number", REFERENCE)
def test_sites_together_end_where_the_pooled_rows_do(number: int) -> None:
    study, rows = study_and_rows(number)
    pooled = fit_pooled(study, rows)
    tables = {str(name): part.drop(columns="site") for name, part in rows.groupby("site")}
    federated = rehearse(study, tables)
    assert federated.log_likelihood == pytest.approx(pooled.log_likelihood, abs=1e-9)
    for one, other in zip(federated.fixed_effects, pooled.fixed_effects, strict=True):
        assert abs(one.estimate - other.estimate) < 1e-8 * other.std_error
    assert federated.random_effects[0].std_dev == pytest.approx(pooled.random_effects[0].std_dev, rel=1e-6, abs=1e-6)
