"""A site answers only where its answer rests on enough of its rows."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import Describe, HeldOutLikelihood, MarginalDerivatives
from fedglmm_secure.study import Study, parse_table
from fedglmm_secure.study.guard import check_question
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


@pytest.mark.parametrize("restarted", [False, True])
def test_the_validation_rows_are_asked_about_once(restarted: bool) -> None:
    """More penalties than the study has would be asked about otherwise, and the limit on them be of each question."""
    rows, asked = divided()
    once = HeldOutLikelihood((asked.theta,), 1, asked.columns, asked.description)
    other = replace(once, thetas=((0.0, 0.0, 0.0, 0.5),))
    if restarted:
        rows.recall([Describe(), once])
    assert (rows.answer(once) == rows.answer(once)).all()
    with pytest.raises(PeerError, match="a second time, and a fit needs them once"):
        rows.answer(other)
    rows.answer(Describe())
    assert np.isfinite(rows.answer(other)).all()


@pytest.mark.parametrize("others", [(), (Describe(),)])
def test_what_was_asked_about_the_validation_rows_is_recalled(others: tuple[Describe, ...]) -> None:
    rows, asked = divided()
    once = HeldOutLikelihood((asked.theta,), 1, asked.columns, asked.description)
    rows.recall([Describe(), once, *others])
    other = replace(once, thetas=((0.0, 0.0, 0.0, 0.5),))
    if others:
        assert np.isfinite(rows.answer(other)).all()
    else:
        with pytest.raises(PeerError, match="a second time"):
            rows.answer(other)


def test_a_second_question_about_the_validation_rows_is_refused_after_a_restart_too() -> None:
    """With dropouts it may stand in the journal before it is refused."""
    rows, asked = divided()
    once = HeldOutLikelihood((asked.theta,), 1, asked.columns, asked.description)
    other = replace(once, thetas=((0.0, 0.0, 0.0, 0.5),))
    rows.recall([Describe(), once, other])
    assert np.isfinite(rows.answer(once)).all()
    with pytest.raises(PeerError, match="a second time, and a fit needs them once"):
        rows.answer(other)


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


class Hospitals:
    """The example's four sites, which answer what their guards let through, and the coordinator's view of the sums."""

    def __init__(self, formula: str) -> None:
        folder = Path(__file__).parents[3] / "examples" / "indomethacin"
        data = Study.parse((folder / "study.toml").read_text(), "study.toml").model_dump(exclude_none=True)
        tables = {file.stem: parse_table(file.name, file.read_bytes()) for file in (folder / "sites").glob("*.csv")}
        words = {name: {"type": "categorical", "levels": ["0_no", "1_yes"]} for name in ("sod", "pep")}
        variables = {**words, **data["variables"]}
        data["model"] = {"family": "binomial", "formula": formula, "method": "glm"}
        data["variables"] = {name: variable for name, variable in variables.items() if name in formula}
        data["sites"] = [{"name": name} for name in tables]
        self.study = Study.from_dict(data, "study.toml")
        self._sites = [
            SiteRows(self.study, self.study.design(table, name, name), name) for name, table in tables.items()
        ]
        self.x = np.vstack([site.design.x for site in self._sites])
        self.asked: list[MarginalDerivatives] = []

    def answer(self, question):
        """The pooled sum."""
        first = isinstance(question, Describe)
        check_question(self.study, question, 1 if first else len(self.asked) + 2, first=first)
        if not first:
            self.asked.append(question)
        return sum(site.answer(question) for site in self._sites)

    def to_table(self, question) -> np.ndarray:
        layout = self.study.layout
        units = Description.unpack(np.array(question.description), layout).units(layout, question.columns)
        return units.to_table(Pattern(layout.blocks))

    def equations(self, question, total, cells, column=None):
        """What the Hessian says of the number of rows in each cell, or of the sum of a ``column`` over them."""
        to_table, p = self.to_table(question), self.x.shape[1]
        hessian = np.zeros((p, p))
        hessian[np.triu_indices(p)] = total[1 + p :]
        hessian = hessian + hessian.T - np.diag(np.diag(hessian))
        back = np.linalg.inv(to_table)
        products = -back.T @ hessian @ back
        mean = 1.0 / (1.0 + np.exp(-cells @ (to_table @ np.array(question.theta))))
        weighted = (mean * (1.0 - mean))[:, None] * cells
        for i, j in product(range(p), range(p) if column is None else (column,)):
            if column is None:
                yield weighted[:, i] * cells[:, j], products[i, j]
            elif i != column:
                yield weighted[:, i], products[i, j]


def solved(equations) -> np.ndarray:
    rows, values = (np.array(side) for side in zip(*equations, strict=True))
    return np.linalg.lstsq(rows, values, rcond=1e-13)[0]


def test_an_honest_fit_tells_how_many_rows_have_each_combination_of_levels() -> None:
    """A limit that docs/threat-model.md states: minimum_cell is about single levels."""
    hospitals = Hospitals("outcome ~ rx + gender + sod + pep")
    fit, totals = estimator(hospitals.study, lambda row: None), []
    question = next(fit)
    while True:
        totals.append(hospitals.answer(question))
        try:
            question = fit.send(totals[-1])
        except StopIteration:
            break
    assert len(totals) == 5
    cells = np.array([[1.0, *levels] for levels in product((0.0, 1.0), repeat=4)])
    asked = zip(hospitals.asked, totals[1:], strict=True)
    counts = solved([pair for question, total in asked for pair in hospitals.equations(question, total, cells)])
    truth = np.array([(hospitals.x == cell).all(axis=1).sum() for cell in cells])
    assert (np.rint(counts) == truth).all()
    assert 0 < truth.min() < hospitals.study.disclosure.minimum_cell


def test_ordinary_questions_tell_the_age_of_a_patient_who_is_alone_in_a_cell() -> None:
    """A limit that docs/threat-model.md states: no site sees anything wrong with any one of them."""
    hospitals = Hospitals("outcome ~ rx + gender + risk + age")
    x, p, age = hospitals.x, 5, hospitals.study.layout.columns.index("age")
    total = hospitals.answer(Describe())
    description = tuple(total[: len(Description.slots(hospitals.study.layout))].tolist())
    question = MarginalDerivatives((0.0,) * p, 1, tuple(range(p)), description)
    others = [column for column in range(p) if column != age]
    cells = np.zeros((4 * len(np.unique(x[:, 3])), p))
    cells[:, others] = [(1.0, *levels) for levels in product(*(np.unique(x[:, column]) for column in others[1:]))]
    rng, equations, farthest = np.random.default_rng(0), [], 0.0
    for _ in range(12):
        beta = np.zeros(p)
        beta[others] = rng.normal(size=4) * 1.5 / [1.0, *x[:, others[1:]].std(axis=0)]
        beta[0] -= x.mean(axis=0)[1:] @ beta[1:]
        farthest = max(farthest, np.abs(x @ beta).max())
        asked = replace(question, theta=tuple(np.linalg.solve(hospitals.to_table(question), beta).tolist()))
        equations += hospitals.equations(asked, hospitals.answer(asked), cells, age)
    assert farthest < 13.0
    ages = solved(equations)
    alone = [
        (cell, x[found])
        for cell in range(len(cells))
        if (found := (x[:, others] == cells[cell, others]).all(1)).sum() == 1
    ]
    assert len(alone) == 2
    for cell, rows in alone:
        assert ages[cell] == pytest.approx(rows[0, age], abs=1e-3)
