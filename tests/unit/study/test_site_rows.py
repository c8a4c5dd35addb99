"""A site answers only where its answer rests on enough of its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure.errors import RefusalError
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import Describe, MarginalDerivatives
from fedglmm_secure.study import Study
from fedglmm_secure.study.site_rows import SiteRows

STUDY = Study.from_dict(
    {
        "study": {"id": "rows"},
        "model": {"formula": "y ~ age + dose + (1 | site)", "family": "binomial"},
        "variables": {
            "y": {"type": "binary", "levels": [0, 1]},
            "age": {"type": "numeric", "range": [0, 100]},
            "dose": {"type": "numeric", "range": [0, 1]},
        },
        "sites": [{"name": name} for name in "abc"],
    },
    "rows.toml",
)


def table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {"y": rng.integers(0, 2, rows), "age": rng.integers(20, 90, rows), "dose": rng.random(rows).round(3)}
    )


def site(rows: int) -> SiteRows:
    return SiteRows(STUDY, STUDY.design(table(rows), "a", "a.csv"), "a")


def question(description: tuple[float, ...], theta: tuple[float, ...]) -> MarginalDerivatives:
    return MarginalDerivatives(theta, 1, (0, 1, 2), description)


def described(rows: int) -> tuple[float, ...]:
    total = site(rows).answer(Describe())
    return tuple(total[: len(Description.slots(STUDY.layout))].tolist())


def singling_out(rows: int) -> tuple[float, ...]:
    """Parameters at which the oldest patient alone has weight: the hyperplane touches that row and no other."""
    age = table(rows)["age"].to_numpy(float)
    slope = 40.0 * age.std()
    oldest = (age.max() - age.mean()) / age.std()
    return (-slope * oldest, slope, 0.0, 0.0)


def test_a_fit_asks_where_most_rows_count() -> None:
    description = described(60)
    for theta in ((0.0, 0.0, 0.0, 0.5), (-3.0, 1.0, -1.0, 2.0), (-9.0, 0.5, 0.5, 0.1)):
        assert np.isfinite(site(60).answer(question(description, theta))).all()


def test_parameters_that_single_out_a_patient_are_refused_by_the_site() -> None:
    description = described(60)
    with pytest.raises(RefusalError, match="too few of this site's rows"):
        site(60).answer(question(description, singling_out(60)))


def test_a_site_of_three_patients_can_take_part() -> None:
    description = described(60)
    assert np.isfinite(site(3).answer(replace(question(description, (-2.0, 1.0, -1.0, 0.5)), nodes=1))).all()


def test_its_representation_shows_no_data() -> None:
    assert repr(site(3)) == "SiteRows(<private>)"
