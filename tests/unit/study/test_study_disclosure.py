"""The list of disclosure checks: what a site knows before it answers, and what only the pooled counts can tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure.errors import InputError, OwnRowsError, RefusalError
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import Describe
from fedglmm_secure.study import Study
from fedglmm_secure.study.disclosure import BEFORE, POOLED, Check, check_local, check_pooled, local_checks
from fedglmm_secure.study.guard import check_question
from fedglmm_secure.study.site_rows import SiteRows

LETTERS = [f"l{i}" for i in range(45)]


def study_with(**tables: object) -> Study:
    data: dict = {
        "study": {"id": "disclosure"},
        "model": {"formula": "y ~ x + sex + (1 | site)", "family": "binomial"},
        "variables": {
            "y": {"type": "binary", "levels": [0, 1]},
            "x": {"type": "numeric", "range": [0, 1]},
            "sex": {"type": "categorical", "levels": ["f", "m"]},
        },
        "sites": [{"name": name} for name in "abc"],
    }
    for table, keys in tables.items():
        data[table] = {**data.get(table, {}), **keys}  # type: ignore[dict-item]
    return Study.from_dict(data, "disclosure.toml")


def table(rows: int, men: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {"y": np.arange(rows) % 2, "x": rng.random(rows), "sex": ["m"] * men + ["f"] * (rows - men)},
    )


def checks(study: Study, frame: pd.DataFrame) -> dict[str, Check]:
    return {check.name: check for check in local_checks(study, study.design(frame, "a", "a.csv"), "a")}


def pooled(study: Study, rows: float, cells: list[float], groups: float = 3.0) -> Description:
    p = len(study.layout.columns)
    return Description(rows, 0.0, groups, np.array(cells), np.zeros(p), np.full(p, rows))


def test_a_site_lists_every_check_with_its_value_limit_and_verdict() -> None:
    listed = checks(study_with(), table(40, men=2))
    assert [*listed] == [
        "levels of y",
        "levels of sex",
        "parameters a row",
        "rows",
        "rows with y = 0",
        "rows with y = 1",
        "rows with sex = f",
        "rows with sex = m",
        "levels of y a row",
        "levels of sex a row",
    ]
    assert listed["levels of sex"].passed is True
    assert listed["levels of sex"].when == BEFORE
    men = listed["rows with sex = m"]
    assert (men.value, men.limit) == ("2 at a", "none, or at least minimum_cell = 3")
    assert (men.passed, men.when) == (None, POOLED)  # other sites may have more
    assert listed["rows with sex = f"].passed is True  # and no site can take these away
    assert listed["parameters a row"].value == "4 parameters for 40 rows at a"


def test_rows_that_a_site_alone_does_not_have_are_for_the_pooled_data() -> None:
    listed = checks(study_with(), table(4, men=0))
    unsettled = {name for name, check in listed.items() if check.passed is None}
    assert {"parameters a row", "rows with sex = m", "levels of sex a row"} <= unsettled
    assert not any(check.passed is False for check in listed.values())


def test_every_check_names_the_key_that_sets_its_limit() -> None:
    study = study_with(model={"family": "gaussian"}, variables={"y": {"type": "numeric", "range": [0, 2]}})
    for check in checks(study, table(40)).values():
        assert any(key in check.limit for key in type(study.disclosure).model_fields), check


def test_too_many_declared_levels_are_refused_before_anything_is_answered() -> None:
    study = study_with(variables={"sex": {"type": "categorical", "levels": LETTERS}})
    frame = table(40).assign(sex=LETTERS[:40])
    assert checks(study, frame)["levels of sex"].passed is False
    with pytest.raises(RefusalError, match="45 declared levels, more than maximum_levels = 40"):
        check_question(study, Describe(), 1, first=True)
    with pytest.raises(RefusalError, match="45 declared levels, more than maximum_levels = 40"):
        SiteRows(study, study.design(frame, "a", "a.csv"), "a")
    raised = study_with(
        variables={"sex": {"type": "categorical", "levels": LETTERS}}, disclosure={"maximum_levels": 45}
    )
    check_question(raised, Describe(), 1, first=True)


def test_plain_sums_show_a_site_so_its_own_counts_decide() -> None:
    plain = study_with(security={"protocol": "plain"})
    few = plain.design(table(40, men=2), "a", "a.csv")
    listed = {check.name: check for check in local_checks(plain, few, "a")}
    assert (listed["rows with sex = m"].passed, listed["rows with sex = m"].when) == (False, BEFORE)
    with pytest.raises(OwnRowsError, match=r"sex = m occurs in fewer than minimum_cell = 3 rows of the own data"):
        check_local(plain, few, "a")
    check_local(plain, plain.design(table(40, men=3), "a", "a.csv"), "a")
    check_local(plain, plain.design(table(40, men=0), "a", "a.csv"), "a")
    with pytest.raises(OwnRowsError, match="4 parameters for 12 own rows"):
        check_local(plain, plain.design(table(12), "a", "a.csv"), "a")
    check_local(plain.replaced(rehearsal_of="0" * 64), few, "a")


@pytest.mark.parametrize(
    ("limits", "rows", "cells", "sentence"),
    [
        ({}, 100, [50, 50, 98, 2], "sex = m occurs in fewer than minimum_cell = 3 rows of the pooled data"),
        ({"minimum_cell": 1}, 5, [3, 2, 3, 2], "y has 2 levels for 5 pooled rows, more than maximum_levels_per_row"),
        ({"maximum_levels_per_row": 0.01}, 100, [50] * 4, "2 levels for 100 pooled rows, more than maximum_levels_per"),
        ({"minimum_rows": 101}, 100, [50] * 4, "there are 100 pooled rows, fewer than minimum_rows = 101"),
        ({}, 12, [6] * 4, "4 parameters for 12 pooled rows, more than maximum_parameters_per_row = 0.33"),
        ({}, 0, [0] * 4, "no complete row"),
    ],
)
def test_pooled_counts_are_judged_by_the_same_rules(limits: dict, rows: int, cells: list, sentence: str) -> None:
    study = study_with(disclosure=limits)
    with pytest.raises(RefusalError, match=sentence):
        check_pooled(study, pooled(study, rows, cells), 3, 4, "parameters")


def test_rows_are_those_of_the_smallest_part() -> None:
    study = study_with(model={"penalty": [0.0, 1.0], "selection": "validation"}, disclosure={"minimum_rows": 31})
    listed = checks(study, table(100))
    assert listed["parameters a row"].value == "4 parameters for 30 rows at a"
    assert listed["penalties a row"].value == "2 penalties for 30 rows at a"
    with pytest.raises(RefusalError, match="there are 30 pooled rows, fewer than minimum_rows = 31"):
        check_pooled(study, pooled(study, 100, [50] * 4), 3, 4, "parameters")


def test_groups_of_a_linear_model_are_counted_where_they_are_known() -> None:
    linear = {"family": "gaussian"}
    numeric = {"y": {"type": "numeric", "range": [0, 2]}}
    by_site = checks(study_with(model=linear, variables=numeric), table(40))["groups of site"]
    assert (by_site.value, by_site.passed, by_site.when) == ("3 in the roster", False, BEFORE)
    private = study_with(
        model=linear | {"formula": "y ~ x + sex + (1 | ward)"}, variables=numeric | {"ward": {"type": "group"}}
    )
    few = checks(private, table(40).assign(ward=np.arange(40) % 4))["groups of ward"]
    many = checks(private, table(40).assign(ward=np.arange(40) % 8))["groups of ward"]
    assert (few.value, few.passed, few.when) == ("4 at a", None, POOLED)
    assert many.passed is True
    with pytest.raises(RefusalError, match="7 groups are few beside 4 columns"):
        check_pooled(private, pooled(private, 100, [50, 50], groups=7.0), 4, 5, "parameters")


@pytest.mark.parametrize(
    ("key", "value"),
    [("minimum_rows", 0), ("maximum_levels", 1), ("maximum_levels", 201), ("maximum_levels_per_row", 0.0)],
)
def test_limits_that_are_none_are_refused(key: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"disclosure\.{key}: must be between"):
        study_with(disclosure={key: value})


def test_the_defaults_are_datashields() -> None:
    """nfilter.tab, nfilter.subset, nfilter.glm, nfilter.levels.max, nfilter.levels.density of dsBase."""
    limits = study_with().disclosure
    assert (limits.minimum_cell, limits.minimum_rows, limits.maximum_parameters_per_row) == (3, 3, 0.33)
    assert (limits.maximum_levels, limits.maximum_levels_per_row) == (40, 0.33)
