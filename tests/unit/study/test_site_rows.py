"""A site answers only where its answer rests on enough of its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure.errors import PeerError, RefusalError
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


def test_planes_that_split_the_rows_without_touching_any_are_refused() -> None:
    """Far out, a gradient is a count of rows on one side; two planes that differ in one row would single it out."""
    description = described(60)
    with pytest.raises(RefusalError, match="too few of this site's rows"):
        site(60).answer(question(description, (0.3, 106.0, 40.0, 0.0)))


def test_weight_that_a_random_effect_takes_away_counts() -> None:
    description = described(60)
    far = (200.0, 2.0, 0.0, 0.56)
    with pytest.raises(RefusalError, match="too few of this site's rows"):
        site(60).answer(question(description, far))


@pytest.mark.parametrize(
    ("position", "value"),
    [
        *[(0, -1.0), (0, 30.0), (2, 1.5), (3, -5.0), (3, 1.0), (0, float("nan"))],
        *[(2, 61.0), (2, 0.0), (0, 1000.0), (3, 1000.0)],
    ],
)
def test_a_description_that_cannot_be_is_refused(position: int, value: float) -> None:
    """Counts below zero, broken or missing, fewer rows or groups than this site alone has, counts that do not fit."""
    description = list(described(60))
    description[position] = value
    with pytest.raises(PeerError, match="the coordinator's pooled description"):
        site(60).answer(question(tuple(description), (0.0, 0.0, 0.0, 0.5)))


@pytest.mark.parametrize(
    ("position", "factor"), [(-1, 0.9), (-2, 0.5), (-3, -1.0), (-4, 8.0), (-5, 100.0), (-1, float("nan"))]
)
def test_units_that_cannot_be_are_refused(position: int, factor: float) -> None:
    """Sums of squares below this site's own, and means that no such squares have."""
    site(60).answer(question(described(60), (0.0, 0.0, 0.0, 0.5)))
    description = list(described(60))
    description[position] = description[position] * factor + (factor > 1.0) * 60.0
    with pytest.raises(PeerError, match="sums of squares that cannot be"):
        site(60).answer(question(tuple(description), (0.0, 0.0, 0.0, 0.5)))


def test_the_description_stays_what_it_was() -> None:
    """Another one would change the units of theta, and with them what two thetas mean."""
    rows, first = site(60), described(60)
    rows.answer(question(first, (0.0, 0.1, 0.2, 0.5)))
    other = list(first)
    other[-1] *= 2.0
    with pytest.raises(PeerError, match="changes its pooled description"):
        rows.answer(question(tuple(other), (0.0, 0.1, 0.2, 0.5)))


def test_a_smaller_cohort_has_another_description() -> None:
    rows, first = site(60), described(60)
    rows.answer(question(first, (0.0, 0.1, 0.2, 0.5)))
    rows.answer(Describe())
    other = list(first)
    other[-1] *= 2.0
    assert rows.answer(question(tuple(other), (0.0, 0.1, 0.2, 0.5))).size > 0


def divided() -> tuple[SiteRows, MarginalDerivatives]:
    data = STUDY.model_dump()
    data["model"] |= {"penalty": [0.0, 1.0], "selection": "validation"}
    study = Study.from_dict(data, "rows.toml")
    rows = SiteRows(study, study.design(table(60), "a", "a.csv"), "a")
    description = rows.answer(Describe())[: len(Description.slots(study.layout))]
    return rows, question(tuple(description.tolist()), (0.0, 0.1, 0.2, 0.5))


@pytest.mark.parametrize(
    ("theta", "columns"),
    [
        ((0.0, 0.1, 0.2, 0.5), (0, 1, 2)),
        ((0.0, 0.1, 0.2, 0.50001), (0, 1, 2)),
        ((0.0, 0.1, 0.2, -0.5), (0, 1, 2)),
        ((0.0, 0.2, 0.5), (0, 2)),
    ],
)
@pytest.mark.parametrize(("one", "other"), [("training", "all"), ("all", "training")])
def test_all_rows_are_not_asked_at_or_next_to_where_the_training_rows_were(
    theta: tuple[float, ...], columns: tuple[int, ...], one: str, other: str
) -> None:
    """Nor with the sign of sigma turned, nor with a column left out whose coefficient was 0."""
    rows, asked = divided()
    for near in asked.theta, (0.0, 0.1, 0.2, 0.50001), (0.0, 0.0, 0.2, 0.5):
        rows.answer(replace(asked, part=one, theta=near))
    with pytest.raises(PeerError, match="would give the validation rows alone"):
        rows.answer(replace(asked, part=other, theta=theta, columns=columns))


@pytest.mark.parametrize(("one", "other"), [("training", "all"), ("all", "training")])
@pytest.mark.parametrize(("first", "second"), [(0.0, 1e-9), (1e-9, 0.0), (1e-6, -1e-6)])
def test_next_to_it_is_measured_in_standardised_units_near_zero_too(
    one: str, other: str, first: float, second: float
) -> None:
    """Parameters of 0 have no length: what lies beside them is near them all the same."""
    rows, asked = divided()
    rows.answer(replace(asked, part=one, theta=(first, 0.0, 0.0, 0.0)))
    with pytest.raises(PeerError, match="would give the validation rows alone"):
        rows.answer(replace(asked, part=other, theta=(second, 0.0, 0.0, 0.0)))


def test_the_same_parameters_in_other_units_are_the_same() -> None:
    """A site that is described to anew, in another session, compares what the parameters mean for its table."""
    rows, asked = divided()
    rows.answer(replace(asked, part="training"))
    rows.answer(Describe())
    wider = list(asked.description)
    wider[-1] *= 4.0  # the sum of squares of dose: its standard deviation
    told = [Description.unpack(np.array(numbers), STUDY.layout) for numbers in (asked.description, wider)]
    old, new = (description.units(STUDY.layout, asked.columns) for description in told)
    dose = asked.theta[2] * new.scale[2] / old.scale[2]
    theta = (
        asked.theta[0] + asked.theta[2] * (new.centre[2] - old.centre[2]) / old.scale[2],
        asked.theta[1],
        dose,
        0.5,
    )
    with pytest.raises(PeerError, match="would give the validation rows alone"):
        rows.answer(replace(asked, theta=theta, description=tuple(wider)))


def test_a_site_that_was_started_again_recalls_what_it_answered() -> None:
    rows, asked = divided()
    rows.recall([Describe(), replace(asked, part="training")])
    with pytest.raises(PeerError, match="would give the validation rows alone"):
        rows.answer(asked)
    with pytest.raises(PeerError, match="changes its pooled description"):
        rows.answer(replace(asked, part="training", description=(*asked.description[:-1], 0.0)))


def test_the_refit_to_all_rows_may_start_beside_the_training_rows_estimate() -> None:
    rows, asked = divided()
    rows.answer(replace(asked, part="training"))
    assert np.isfinite(rows.answer(replace(asked, theta=(0.0, 0.101, 0.202, 0.505)))).all()


def test_a_description_that_was_refused_is_refused_after_a_restart_too() -> None:
    """With dropouts a question may stand in the journal before it is answered: that is no reason to believe it."""
    asked = question(described(60), (0.0, 0.1, 0.2, 0.5))
    changed = replace(asked, description=(*asked.description[:-1], 2.0 * asked.description[-1]))
    rows = site(60)
    rows.recall([Describe(), asked, changed])
    with pytest.raises(PeerError, match="changes its pooled description"):
        rows.answer(changed)
    impossible = replace(asked, description=(*asked.description[:-1], 0.0))
    rows = site(60)
    rows.recall([Describe(), impossible])
    with pytest.raises(PeerError, match="sums of squares that cannot be"):
        rows.answer(impossible)
