"""Drafts of a study: what is proposed from one table, what is refused, and that no patient's value is in it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedglmm_secure.choices import VARIABLE_TYPES
from fedglmm_secure.commands.study import parse_type
from fedglmm_secure.errors import InputError, TableError
from fedglmm_secure.study import Study
from fedglmm_secure.study.draft import Draft, Request, draft
from fedglmm_secure.study.proposal import outward
from fedglmm_secure.study.schema import Disclosure, Security

ROWS = 60


@pytest.fixture
def patients() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "died": rng.integers(0, 2, ROWS),
            "arm": rng.choice(["placebo", "drug", "both"], ROWS),
            "sex": rng.choice(["f", "m"], ROWS),
            "smoker": rng.integers(0, 2, ROWS).astype(bool),
            "age": np.linspace(19, 92, ROWS).round().astype(int),
            "weight": rng.normal(70.0, 9.0, ROWS).round(1),
            "stage": rng.integers(1, 4, ROWS),
            "visits": rng.poisson(3.0, ROWS),
            "size": rng.integers(5, 9, ROWS),
            "log_time": rng.normal(size=ROWS),
            "ward": rng.integers(1, 7, ROWS),
            "id": [f"P{1000 + i}" for i in range(ROWS)],
            "admitted": pd.date_range("2020-01-01", periods=ROWS),
            "discharged": [f"{1 + i % 28}.{1 + i % 12}.2021" for i in range(ROWS)],
            "dose": ["unknown" if i % 20 == 0 else f"{i / 7:.2f}" for i in range(ROWS)],
            "comma": [f"{i},5" for i in range(ROWS)],
            "empty": [None] * ROWS,
            "same": ["x"] * ROWS,
            "infinite": [float("inf")] * ROWS,
        }
    )


def drafted(patients: pd.DataFrame, formula: str, **keys: object) -> tuple[dict, Draft]:
    made = draft(Request(formula, **keys), patients, "p.csv")  # type: ignore[arg-type]
    return tomllib.loads(made.text), made


def test_types_levels_and_ranges_are_proposed(patients: pd.DataFrame) -> None:
    data, _ = drafted(patients, "died ~ arm + sex + smoker + age + weight + (1 | ward)")
    assert data["model"] == {
        "formula": "died ~ arm + sex + smoker + age + weight + (1 | ward)",
        "family": "binomial",
        "method": "laplace",
    }
    variables = data["variables"]
    assert variables["died"] == {"type": "binary", "levels": ["0", "1"]}
    assert variables["arm"] == {"type": "categorical", "levels": ["both", "drug", "placebo"]}
    assert variables["sex"] == {"type": "categorical", "levels": ["f", "m"]}
    assert variables["smoker"] == {"type": "categorical", "levels": ["false", "true"]}
    assert variables["age"] == {"type": "numeric", "range": [10, 100]}
    assert variables["weight"]["type"] == "numeric"
    assert variables["ward"] == {"type": "group"}
    assert set(variables) == {"died", "arm", "sex", "smoker", "age", "weight", "ward"}


def test_the_defaults_are_written_out(patients: pd.DataFrame) -> None:
    data, made = drafted(patients, "died ~ age + (1 | site)", id="trial-7")
    assert data["study"]["id"] == "trial-7"
    written, defaults = data["disclosure"], Disclosure().model_dump()
    assert written == {key: defaults[key] for key in written}
    assert set(defaults) - set(written) == {"few_groups"}
    assert data["security"] == Security().model_dump(include=set(data["security"]))
    assert "add those that only other sites have" in made.text
    assert "no patient's value" in made.text


def test_a_draft_fits_the_table_it_is_made_from_and_a_roster(patients: pd.DataFrame) -> None:
    _, made = drafted(patients, "died ~ arm * age + I(weight**2) + (age | ward)")
    study = Study.parse(made.text, "draft")
    assert study.design(patients, "a", "p.csv").rows == ROWS
    assert study.replaced(identities=dict.fromkeys("abc", (None, None))).layout == study.layout


@pytest.mark.parametrize(
    "read", [lambda f: f, lambda f: f.astype(object), lambda f: f.map(str), lambda f: f.convert_dtypes()]
)
def test_a_csv_and_typed_columns_give_the_same_draft(patients: pd.DataFrame, read: Callable) -> None:
    columns = ["died", "arm", "smoker", "age", "weight", "ward"]
    formula = "died ~ arm + smoker + age + weight + (1 | ward)"
    same = draft(Request(formula), read(patients[columns]), "p.csv")
    assert same == draft(Request(formula), patients[columns], "p.csv")


@pytest.mark.parametrize(
    ("formula", "keys", "family", "outcome"),
    [
        ("died ~ age", {}, "binomial", {"type": "binary", "levels": ["0", "1"]}),
        ("sex ~ age", {}, "binomial", {"type": "binary", "levels": ["f", "m"]}),
        ("weight ~ age", {}, "gaussian", None),
        ("visits ~ age", {"family": "poisson"}, "poisson", None),
        ("visits ~ age", {"family": "gaussian"}, "gaussian", None),
        ("visits ~ age", {"trials": "size"}, "binomial", None),
    ],
)
def test_the_outcome_suggests_a_family(
    patients: pd.DataFrame, formula: str, keys: dict, family: str, outcome: dict | None
) -> None:
    patients["visits"] = patients["visits"].clip(0, 5)
    data, _ = drafted(patients, formula, **keys)
    name = formula.partition(" ")[0]
    assert (data["model"]["family"], data["model"]["method"]) == (family, "glm")
    assert outcome in (None, data["variables"][name])
    kind = {"binomial": "count" if keys else "binary", "poisson": "count", "gaussian": "numeric"}[family]
    assert data["variables"][name]["type"] == kind


def test_extra_columns_are_declared(patients: pd.DataFrame) -> None:
    data, _ = drafted(patients, "visits ~ age + (1 | site)", family="poisson", offset="log_time", weights="weight")
    assert (data["model"]["offset"], data["model"]["weights"]) == ("log_time", "weight")
    assert {data["variables"][name]["type"] for name in ("log_time", "weight")} == {"numeric"}


def test_what_only_the_site_should_know_is_not_in_the_file(patients: pd.DataFrame) -> None:
    patients.loc[0, "arm"] = "rare"
    patients.loc[1:3, "age"] = None
    data, made = drafted(patients, "died ~ arm + age + stage + (1 | ward)")
    assert any("rare in fewer than 3 rows" in note for note in made.notes)
    assert any("3 of 60 rows miss a used value" in note for note in made.notes)
    assert any("draft with --type stage=categorical" in note for note in made.notes)
    assert "fewer than 3 rows" not in made.text
    assert "rare" in data["variables"]["arm"]["levels"]


def test_a_type_can_be_given(patients: pd.DataFrame) -> None:
    patients["dose"] = patients["dose"].where(patients["dose"] == "unknown", "1")
    data, _ = drafted(patients, "died ~ stage + dose", types={"stage": "categorical", "dose": "categorical"})
    assert data["variables"]["stage"] == {"type": "categorical", "levels": ["1", "2", "3"]}
    assert data["variables"]["dose"]["levels"] == ["1", "unknown"]


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        (
            "died ~ admitted",
            "column admitted: holds dates, which a model cannot use; put a number into a column of its",
        ),
        ("died ~ discharged", "column discharged: holds dates"),
        ("died ~ id", "column id: has 60 different values in 60 rows, as an identifier or free text has; leave it out"),
        ("died ~ dose", "column dose: holds numbers and text, such as 'unknown'; correct the text"),
        ("died ~ comma", "column comma: has decimal commas; save the table with decimal points"),
        ("died ~ empty", "column empty: holds no value at all; fill it in"),
        ("died ~ same", "column same: holds only `x`, and a covariate or outcome needs two levels"),
        ("died ~ infinite", "column infinite: holds infinite values"),
        ("died ~ AGE", "column AGE, which the formula uses, is missing; did you mean `age`?"),
        ("died ~ nothing", "column nothing, which the formula uses, is missing; the table has died, arm"),
        ("arm ~ age", "the outcome `arm` has 3 levels; no family fits more than two"),
        ("died ~ age + site", "`site` can only be a group"),
        ("died ~ age + (1 | died)", "is the outcome and cannot explain itself"),
        ("died ~ log(stage - 3)", "`log(stage - 3)` is not finite over the declared ranges"),
        ("died ~ scale(age)", "`scale` looks at the data"),
        ("died", "has no `~`"),
    ],
)
def test_what_no_declaration_fits_is_told_by_name(patients: pd.DataFrame, formula: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        drafted(patients, formula)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_type_that_does_not_fit_is_told_by_name(patients: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="column arm: holds text, not numbers"):
        drafted(patients, "died ~ arm", types={"arm": "numeric"})
    with pytest.raises(TableError, match="column arm: has 3 different values, such as both, drug, placebo"):
        drafted(patients, "died ~ arm", types={"arm": "binary"})
    with pytest.raises(TableError, match=r"column age: has \d+ different values"):
        drafted(patients, "age ~ weight", family="binomial")
    with pytest.raises(InputError, match="does not use `SEX`"):
        drafted(patients, "died ~ arm", types={"SEX": "binary"})


def test_an_expression_keeps_its_range_above_0(patients: pd.DataFrame) -> None:
    patients["days"] = np.linspace(0.4, 700.0, ROWS)
    plain, _ = drafted(patients, "died ~ days")
    logged, _ = drafted(patients, "died ~ log(days)")
    assert plain["variables"]["days"]["range"][0] == 0
    assert logged["variables"]["days"]["range"][0] == 0.1


def test_names_and_levels_are_written_as_toml_wants_them(patients: pd.DataFrame) -> None:
    patients["body mass.kg"] = patients["weight"]
    patients["sex"] = patients["sex"].map({"f": 'a "quoted" one', "m": "back\\slash #"})
    data, _ = drafted(patients, "died ~ `body mass.kg` + sex")
    assert data["variables"]["body mass.kg"]["type"] == "numeric"
    assert data["variables"]["sex"]["levels"] == ['a "quoted" one', "back\\slash #"]


numbers = st.floats(-1e9, 1e9).map(lambda x: 0.0 if abs(x) < 1e-9 else x)


@given(numbers, numbers, st.booleans(), st.booleans())
@example(0.0, 0.3, False, False)
def test_a_range_holds_the_values_inside_and_none_is_its_end(a: float, b: float, whole: bool, positive: bool) -> None:
    if whole:
        a, b = round(a), round(b)
    low, high = min(a, b), max(a, b)
    bottom, top = outward(low, high, whole=whole, positive=positive)
    assert bottom < low or (bottom == 0 and low == 0)
    assert high < top
    assert bottom >= 0 or low < 0
    assert bottom > 0 or low <= 0 or not positive


@pytest.mark.parametrize(
    ("ends", "whole", "expected"),
    [
        ((19, 92), True, (10, 100)),
        ((18, 100), True, (10, 110)),
        ((1, 5.5), False, (0.5, 6)),
        ((1, 4), True, (0, 5)),
        ((0, 8), True, (0, 9)),
        ((5, 5), True, (4, 6)),
        ((-3.2, 3.1), False, (-4, 4)),
        ((0.1, 0.9), False, (0, 1)),
        ((1e-9, 3e-9), False, (8e-10, 3.2e-9)),
    ],
)
def test_ends_of_ranges_are_round(ends: tuple[float, float], whole: bool, expected: tuple[float, float]) -> None:
    assert outward(*ends, whole=whole) == pytest.approx(expected)


def test_type_options() -> None:
    assert [parse_type(f"a=b={kind}") for kind in VARIABLE_TYPES] == [("a=b", kind) for kind in VARIABLE_TYPES]
    for wrong in ("age", "=numeric", "age=", "age=date"):
        with pytest.raises(InputError, match="write NAME=TYPE"):
            parse_type(wrong)
