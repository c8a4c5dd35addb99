"""The layout: columns and scale from the declarations alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_secure.errors import InputError


def test_names_scale_and_cells(study_of):
    layout = study_of("y ~ rx + age + hmo + (1 | doctor)").layout
    assert layout.columns == ("Intercept", "rx[T.low]", "rx[T.high]", "age", "hmo")
    assert layout.centre == (0.0, 0.5, 0.5, 50.0, 0.5)
    assert layout.half == (1.0, 0.5, 0.5, 30.0, 0.5)
    assert layout.intercept == 0
    assert (layout.group, layout.terms, layout.family) == ("doctor", ("Intercept",), "binomial")
    assert layout.levels == (
        *("y = no", "y = yes", "rx = placebo", "rx = low", "rx = high"),
        *("hmo = 0", "hmo = 1"),
    )


@pytest.mark.parametrize(
    ("term", "columns", "centre", "half"),
    [
        ("I(age**2)", ("I(age ** 2)",), (3400.0,), (3000.0,)),
        ("I((age - 50)**2)", ("I((age - 50) ** 2)",), (450.0,), (450.0,)),
        ("{age / 10}", ("age / 10",), (5.0,), (3.0,)),
        ("log(age)", ("log(age)",), (np.log(1600) / 2,), (np.log(4) / 2,)),
        ("age:hmo", ("age:hmo",), (40.0,), (40.0,)),
        ("hmo:visits", ("hmo:visits",), (5000.0,), (5000.0,)),
        ("age:rx", ("age:rx[placebo]", "age:rx[low]", "age:rx[high]"), (40.0,) * 3, (40.0,) * 3),
    ],
)
def test_columns_of_a_term(study_of, term, columns, centre, half):
    layout = study_of(f"y ~ {term} + (1 | site)").layout
    assert layout.columns[1:] == columns
    assert layout.centre[1:] == pytest.approx(centre)
    assert layout.half[1:] == pytest.approx(half)


def test_without_an_intercept_nothing_is_centred(study_of):
    layout = study_of("y ~ 0 + rx + age + (1 | site)").layout
    assert layout.columns == ("rx[placebo]", "rx[low]", "rx[high]", "age")
    assert layout.intercept is None
    assert layout.centre == (0.0, 0.0, 0.0, 0.0)
    assert layout.half == (1.0, 1.0, 1.0, 80.0)


def test_too_many_columns_or_levels_are_refused(study_of):
    many = ", ".join(f'"l{number}"' for number in range(200))
    levels = ('levels = ["placebo", "low", "high"]', f"levels = [{many}]")
    second = ('type = "count"', f'type = "categorical"\nlevels = [{many}]')
    with pytest.raises(InputError, match="`rx:visits` combines too many levels"):
        study_of("y ~ rx:visits + (1 | site)", levels, second)


@pytest.mark.parametrize(
    ("random", "terms", "blocks", "z_centre", "z_half"),
    [
        ("(1 | doctor)", ("Intercept",), (1,), (0.0,), (1.0,)),
        ("(1 + age | doctor)", ("Intercept", "age"), (2,), (0.0, 50.0), (1.0, 30.0)),
        ("(age | doctor)", ("Intercept", "age"), (2,), (0.0, 50.0), (1.0, 30.0)),
        ("(0 + age | doctor)", ("age",), (1,), (0.0,), (80.0,)),
        ("(1 | doctor) + (0 + age | doctor)", ("Intercept", "age"), (1, 1), (0.0, 0.0), (1.0, 80.0)),
        (
            "(0 + {50 - age} | doctor) + (1 + hmo | doctor)",
            ("50 - age", "Intercept", "hmo"),
            (1, 2),
            (0.0, 0.0, 0.5),
            (30.0, 1.0, 0.5),
        ),
        ("(rx | doctor)", ("Intercept", "rx[T.low]", "rx[T.high]"), (3,), (0.0, 0.5, 0.5), (1.0, 0.5, 0.5)),
        ("(0 + rx | doctor)", ("rx[placebo]", "rx[low]", "rx[high]"), (3,), (0.0,) * 3, (1.0,) * 3),
    ],
)
def test_random_terms(study_of, random, terms, blocks, z_centre, z_half):
    layout = study_of(f"y ~ rx + {random}", ('"agh"', '"laplace"')).layout
    assert (layout.group, layout.terms, layout.blocks) == ("doctor", terms, blocks)
    assert (layout.z_centre, layout.z_half) == (z_centre, z_half)
    assert layout.columns == ("Intercept", "rx[T.low]", "rx[T.high]")


@given(st.lists(st.tuples(st.sampled_from(["placebo", "low", "high"]), st.integers(20, 80)), min_size=1, max_size=12))
def test_every_table_gives_the_same_columns(study_of, rows):
    """Whatever levels occur at a site; and every value lies in the declared scale."""
    study = study_of("y ~ rx * age + I(age**2) + (1 | site)")
    frame = pd.DataFrame(rows, columns=["rx", "age"]).assign(y="no")
    design = study.design(frame, "north", "north.csv")
    low, high = (frame["rx"] == level for level in ("low", "high"))
    age = frame["age"].to_numpy()
    expected = {
        "Intercept": np.ones(len(frame)),
        "rx[T.low]": low,
        "rx[T.high]": high,
        "age": age,
        "I(age ** 2)": age**2,
        "rx[T.low]:age": low * age,
        "rx[T.high]:age": high * age,
    }
    assert set(study.layout.columns) == set(expected)
    np.testing.assert_array_equal(design.x, np.column_stack([expected[name] for name in study.layout.columns]))
    scaled = (design.x - study.layout.centre) / study.layout.half
    assert np.abs(scaled).max() <= 1 + 1e-12
