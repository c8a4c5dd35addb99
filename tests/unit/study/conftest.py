"""A study to change in one place, and the data it is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fedglmm_secure.study import Study, parse_table

DATA = Path(__file__).parents[2] / "data"

TEXT = """
[study]
id = "trial"
title = "A trial"

[model]
formula = "y ~ rx + age + (1 | site)"
family = "binomial"
method = "agh"

[variables.y]
type = "binary"
levels = ["no", "yes"]

[variables.rx]
type = "categorical"
levels = ["placebo", "low", "high"]

[variables.age]
type = "numeric"
range = [20, 80]

[variables.hmo]
type = "binary"
levels = [0, 1]

[variables.visits]
type = "count"

[variables.doctor]
type = "group"

[[sites]]
name = "north"

[[sites]]
name = "south"

[[sites]]
name = "west"
"""


@pytest.fixture
def text() -> str:
    return TEXT


@pytest.fixture(scope="session")
def study_of() -> Callable[..., Study]:
    """The study above with another formula or with some of its text replaced."""

    def build(formula: str | None = None, *replacements: tuple[str, str]) -> Study:
        text = TEXT
        if formula is not None:
            text = text.replace("y ~ rx + age + (1 | site)", formula)
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        return Study.parse(text, "study.toml")

    return build


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": ["no", "yes", "no", "yes"],
            "rx": ["placebo", "high", "placebo", "high"],
            "age": [30.0, 40.0, 50.0, 60.0],
            "hmo": [0, 1, 1, 0],
            "visits": [0, 1, 2, 3],
            "doctor": ["b", "a", "b", "a"],
        }
    )


@pytest.fixture(scope="session")
def read_data() -> Callable[[str], pd.DataFrame]:
    return lambda name: parse_table(name, (DATA / name).read_bytes())


@pytest.fixture(scope="session")
def read_study() -> Callable[[str], Study]:
    return lambda name: Study.parse((DATA / "studies" / f"{name}.toml").read_text(), name)
