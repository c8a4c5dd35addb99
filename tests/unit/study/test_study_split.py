"""Rows set aside to choose a penalty by: drawn by the study and the site's name alone, none lost, none twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_secure.errors import InputError

ROWS = 400
VALIDATION = 'method = "laplace"\npenalty = [0, 1]\nselection = "validation"'


@pytest.fixture(scope="module")
def study(study_of):
    return study_of("y ~ rx + age + visits + (1 | doctor)", ('method = "agh"', VALIDATION))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Rows that ``visits`` tells apart; every group has few of them."""
    random = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "y": random.choice(["no", "yes"], ROWS),
            "rx": random.choice(["placebo", "low", "high"], ROWS),
            "age": [None, *random.integers(20, 80, ROWS - 1)],
            "visits": range(ROWS),
            "doctor": random.integers(100, 250, ROWS),
        }
    )


def numbers(design) -> list[int]:
    return [int(value) for value in design.x[:, -1]]


def test_every_row_is_in_one_of_the_two(study, table):
    design = study.design(table, "north", "north.csv")
    training, validation = study.split(design, "north")
    assert sorted(numbers(training) + numbers(validation)) == list(range(1, ROWS))
    assert (training.dropped, validation.dropped) == (1, 0)
    np.testing.assert_array_equal(training.level_counts + validation.level_counts, design.level_counts)
    assert 0.2 * ROWS < validation.rows < 0.4 * ROWS


def test_each_part_is_the_design_of_its_rows(study, table):
    """Order within groups, groups that lost all rows, and totals are as if the other rows had never been there."""
    for part in study.split(study.design(table, "north", "north.csv"), "north"):
        alone = study.design(table.iloc[sorted(numbers(part))], "north", "north.csv")
        for name in ("x", "z", "y", "offset", "weights", "starts", "level_counts", "constants"):
            np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))
        assert part.group_names == alone.group_names
        assert part.groups < 150
        assert part.constant == alone.constant
        assert repr(part) == "Design(<private>)"


def test_constants_are_divided(study_of, table):
    poisson = study_of(
        "visits ~ rx + (1 | doctor)", ('method = "agh"', VALIDATION), ('family = "binomial"', 'family = "poisson"')
    )
    design = poisson.design(table, "north", "north.csv")
    training, validation = poisson.split(design, "north")
    assert training.constant + validation.constant == pytest.approx(design.constant, rel=1e-12)
    assert validation.constant < 0


def test_the_draw_depends_on_the_site_the_study_and_the_seed_alone(study, study_of, table):
    def held(one, site: str) -> list[int]:
        return sorted(numbers(one.split(one.design(table, site, "a.csv"), site)[1]))

    def changed(old: str, new: str):
        return study_of("y ~ rx + age + visits + (1 | doctor)", ('method = "agh"', VALIDATION), (old, new))

    first = held(study, "north")
    assert held(study, "north") == first
    assert held(changed("range = [20, 80]", "range = [10, 90]"), "north") == first
    assert held(study, "south") != first
    assert held(changed('id = "trial"', 'id = "other"'), "north") != first
    assert held(changed("[variables.rx]", "[validation]\nseed = 2\n[variables.rx]"), "north") != first
    fewer = held(changed("[variables.rx]", "[validation]\nfraction = 0.1\n[variables.rx]"), "north")
    assert set(fewer) < set(first)
    assert 0.05 * ROWS < len(fewer) < 0.15 * ROWS


def test_the_draw_is_fixed_for_ever(study, table):
    """A site that starts anew after an upgrade must draw the same rows."""
    design = study.design(table.iloc[1:21].assign(doctor="one"), "north", "north.csv")
    assert numbers(study.split(design, "north")[1]) == [1, 7, 10, 16, 19]


@given(st.integers(1, 6))
def test_a_small_site_may_have_no_row_in_one_of_them(study, table, rows):
    design = study.design(table.iloc[-rows:], "west", "west.csv")
    for part in study.split(design, "west"):
        assert len(part.starts) == len(part.group_names) == part.groups
        assert part.sizes.sum() == part.rows
        if not part.rows:
            assert (part.groups, part.constant, part.level_counts.any()) == (0, 0.0, False)


def test_rows_are_set_aside_only_where_the_study_says_so(study_of, frame):
    one = study_of()
    with pytest.raises(InputError, match=r'model\.selection: must be "validation"'):
        one.split(one.design(frame, "north", "north.csv"), "north")
