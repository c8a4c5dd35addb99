"""From a table to a design: types, missing values, groups, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_secure.errors import TableError

FORMULA = "y ~ rx + age + hmo + visits + (1 | doctor)"


def same(a, b):
    for name in ("x", "z", "y", "offset", "weights", "starts", "level_counts"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (a.group_names, a.dropped) == (b.group_names, b.dropped)


def test_rows_are_sorted_by_group_and_stay_in_order_within(study_of, frame):
    design = study_of(FORMULA).design(frame, "north", "north.csv")
    np.testing.assert_array_equal(
        design.x, [[1, 0, 1, 40, 1, 1], [1, 0, 1, 60, 0, 3], [1, 0, 0, 30, 0, 0], [1, 0, 0, 50, 1, 2]]
    )
    np.testing.assert_array_equal(design.y, [1, 1, 0, 0])
    np.testing.assert_array_equal(design.z, np.ones((4, 1)))
    np.testing.assert_array_equal(design.starts, [0, 2])
    assert design.group_names == ("a", "b")
    np.testing.assert_array_equal(design.level_counts, [2, 2, 2, 0, 2, 2, 2])
    np.testing.assert_array_equal(design.offset, np.zeros(4))
    np.testing.assert_array_equal(design.weights, np.ones(4))
    assert design.dropped == 0


def test_the_site_is_one_group_and_needs_no_column(study_of, frame):
    design = study_of("y ~ age + (1 | site)").design(frame, "north", "north.csv")
    assert design.group_names == ("north",)
    np.testing.assert_array_equal(design.starts, [0])
    np.testing.assert_array_equal(design.x[:, 1], [30, 40, 50, 60])


@pytest.mark.parametrize(
    "convert",
    [
        lambda f: f.astype(str),
        lambda f: f.astype(object),
        lambda f: f.astype("category"),
        lambda f: f.convert_dtypes(),
        lambda f: f.assign(hmo=f["hmo"].astype(bool)),
        lambda f: f.assign(hmo=f["hmo"].astype(bool).astype(str).str.upper()),
        lambda f: f.assign(hmo=f["hmo"].astype(float), visits=f["visits"].astype("Int64")),
        lambda f: f.assign(hmo=f["hmo"].astype(float).astype(str), age=f["age"].astype("float32")),
        lambda f: f.assign(y=" " + f["y"] + " ", age=f["age"].map(" {} ".format)),
        lambda f: f.set_index(pd.Index([7, 7, 7, 7])),
        lambda f: f.assign(other=[[1], {}, None, object()]),
        lambda f: f[list(reversed(f.columns))],
        lambda f: f.convert_dtypes(dtype_backend="pyarrow"),
    ],
)
def test_the_types_of_the_columns_do_not_matter(study_of, frame, convert):
    study = study_of(FORMULA)
    same(study.design(convert(frame), "north", "north.csv"), study.design(frame, "north", "north.csv"))


@pytest.mark.parametrize("values", [["1", "2", "1", "2"], [1, 2, 1, 2], [1.0, 2.0, 1.0, 2.0], [1, "2", "1 ", 2]])
def test_group_names_are_the_same_from_text_and_numbers(study_of, frame, values):
    design = study_of("y ~ age + (1 | doctor)").design(frame.assign(doctor=values), "north", "north.csv")
    assert design.group_names == ("1", "2")


@pytest.mark.parametrize("values", [["1.0", "2", "1", "2.0"], ["True", "a", "true", "b"]])
def test_one_group_that_is_written_in_two_ways_is_told(study_of, frame, values):
    """It may be one doctor or two: nothing merges them silently."""
    study = study_of("y ~ age + (1 | doctor)")
    with pytest.raises(TableError, match=f"column doctor: writes a group as '{values[0]}' and as '{values[2]}'"):
        study.design(frame.assign(doctor=values), "north", "north.csv")
    kept_apart = study.design(frame.assign(doctor=["1", "01", "1.00", "1.5"]), "north", "north.csv")
    assert kept_apart.group_names == ("01", "1", "1.00", "1.5")


def test_pooled_groups_of_two_sites_are_never_one(study_of, frame):
    study = study_of("y ~ age + (1 | doctor)")
    pairs = frame.assign(site=["a/b", "a", "a\\", "a\\/b"], doctor=["c", "b/c", "/b/c", "c"])
    assert len(set(study.pooled_design(pairs, "pooled").group_names)) == 4
    plain = study.pooled_design(frame.assign(site=["n", "n", "s", "s"]), "pooled")
    assert plain.group_names == ("n/a", "n/b", "s/a", "s/b")


@pytest.mark.parametrize("nothing", ["", " ", "NA", "NaN", "N/A", "null", ".", None, np.nan, pd.NA])
@pytest.mark.parametrize("column", ["y", "rx", "age", "hmo", "visits", "doctor"])
def test_rows_with_a_missing_used_value_are_dropped_and_counted(study_of, frame, column, nothing):
    study = study_of(FORMULA)
    holed = frame.astype(object)
    holed.loc[1, column] = nothing
    design = study.design(holed, "north", "north.csv")
    assert design.dropped == 1
    complete = study.design(frame.drop(index=1), "north", "north.csv")
    np.testing.assert_array_equal(design.x, complete.x)
    np.testing.assert_array_equal(design.level_counts, complete.level_counts)


def test_missing_values_in_other_columns_do_not_matter(study_of, frame):
    holed = frame.assign(rx=None, visits="nonsense")
    assert study_of("y ~ age + (1 | site)").design(holed, "north", "north.csv").dropped == 0


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("age", ["abc", "x", 30, 40], "column age: 2 values are not numbers, such as 'abc'"),
        ("age", ["1,5", 30, 30, 40], "column age: 1 value is not a number, such as '1,5'"),
        ("age", ["1_0", 30, 30, 40], "column age: 1 value is not a number, such as '1_0'"),
        ("age", [np.inf, 30, 30, 40], "column age: 1 value is infinite"),
        ("age", ["inf", "-Infinity", 30, 40], "column age: 2 values are infinite"),
        ("age", [19, 81, 30, 40], "column age: 2 values are outside the declared range [20, 80], such as 19"),
        ("age", pd.date_range("2020-01-01", periods=4), "column age: 4 values are not numbers"),
        ("age", [[1], 30, 30, 40], "column age: holds values that are neither text nor numbers"),
        ("visits", [-1, 0, 1, 2], "column visits: 1 value is not a count (0, 1, 2, ...), such as -1"),
        ("visits", [0.5, 1.5, 1, 2], "column visits: 2 values are not counts"),
        ("visits", [0, 1, 2, 10_001], "column visits: 1 value is outside the declared range [0, 10000]"),
        (
            "rx",
            ["medium", "low", "low", "high"],
            "column rx: 1 value is not among the declared levels (placebo, low, high",
        ),
        ("rx", ["LOW", "low", "low", "high"], "such as 'LOW'; correct the table or the study"),
        ("hmo", [0, 1, 2, 3], "column hmo: 2 values are not among the declared levels (0, 1), such as '2'"),
        ("hmo", [0, 1, 0.5, 1], "column hmo: 1 value is not among the declared levels"),
        ("y", [1, 2, 1, 2], "column y: 4 values are not among the declared levels (no, yes)"),
        ("rx", [None] * 4, "column rx holds no value at all, so no complete row is left"),
        ("doctor", [""] * 4, "column doctor holds no value at all"),
    ],
)
def test_wrong_values_are_refused_with_their_count(study_of, frame, column, values, sentence):
    with pytest.raises(TableError) as error:
        study_of(FORMULA).design(frame.assign(**{column: values}), "north", "north.csv")
    assert str(error.value).startswith("north.csv: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_no_complete_row_left(study_of, frame):
    holed = frame.assign(age=[30, None, 50, None], visits=[None, 1, None, 3])
    with pytest.raises(TableError, match="no complete row is left: each of 4 rows misses a used value"):
        study_of(FORMULA).design(holed, "north", "north.csv")


def test_missing_columns_name_the_nearest(study_of, frame):
    study = study_of(FORMULA)
    with pytest.raises(TableError, match=r"column age, which the study uses, is missing; did you mean `Age`\?"):
        study.design(frame.rename(columns={"age": "Age"}), "north", "north.csv")
    with pytest.raises(TableError, match=r"column doctor, .* is missing; the table has y, rx, age"):
        study.design(frame.drop(columns="doctor"), "north", "north.csv")
    with pytest.raises(TableError, match=r"did you mean `age `\?"):
        study.design(frame.rename(columns={"age": "age "}), "north", "north.csv")
    with pytest.raises(TableError, match="column age stands twice"):
        study.design(pd.concat([frame, frame[["age"]]], axis=1), "north", "north.csv")
    with pytest.raises(TableError, match="has no rows"):
        study.design(frame.iloc[:0], "north", "north.csv")


def test_arithmetic_that_fails_between_the_reference_points(study_of, frame):
    with pytest.raises(TableError, match=r"`I\(1 / \(age - 33\)\)` is not finite in some rows"):
        study_of("y ~ I(1 / (age - 33)) + (1 | site)").design(frame.assign(age=33), "north", "north.csv")


def test_pooled_by_site(study_of, frame):
    study = study_of("y ~ age + (1 | site)")
    with pytest.raises(TableError, match="column site, which the study uses, is missing"):
        study.pooled_design(frame, "pooled.csv")
    design = study.pooled_design(frame.assign(site=["s", "n", "s", "n"]), "pooled.csv")
    assert design.group_names == ("n", "s")
    np.testing.assert_array_equal(design.x[:, 1], [40, 60, 30, 50])


def test_pooled_groups_are_nested_in_the_site(study_of, frame):
    study = study_of("y ~ age + (1 | doctor)")
    assert study.pooled_design(frame, "pooled.csv").group_names == ("a", "b")
    nested = study.pooled_design(frame.assign(site=["s", "s", "n", "n"]), "pooled.csv")
    assert nested.group_names == ("n/a", "n/b", "s/a", "s/b")
    unknown = study.pooled_design(frame.assign(site=["s", "s", "n", None]), "pooled.csv")
    assert unknown.dropped == 1


@given(st.lists(st.sampled_from(["north", "south", "west"]), min_size=4, max_size=4), st.permutations(range(4)))
def test_the_sites_designs_stacked_are_the_pooled_design(study_of, sites, order):
    frame = pd.DataFrame(
        {
            "y": ["no", "yes", "no", "yes"],
            "rx": ["low", "low", "high", "placebo"],
            "age": [30, 40, 50, 60],
            "site": sites,
        }
    ).iloc[order]
    study = study_of()
    pooled = study.pooled_design(frame, "pooled")
    parts = [study.design(rows, site, site) for site, rows in frame.groupby("site")]
    for name in ("x", "y", "z"):
        np.testing.assert_array_equal(getattr(pooled, name), np.concatenate([getattr(part, name) for part in parts]))
    assert pooled.group_names == tuple(name for part in parts for name in part.group_names)
    np.testing.assert_array_equal(pooled.level_counts, np.sum([part.level_counts for part in parts], axis=0))


def test_a_design_does_not_show_patients(study_of, frame):
    assert repr(study_of().design(frame, "north", "north.csv")) == "Design(<private>)"
