"""Whatever stands in a study file, what is wrong with it is an InputError of one line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_secure.errors import InputError
from fedglmm_secure.study import Study

TABLES = {
    "study": {"id": "a"},
    "model": {"formula": "y ~ x + (1 | site)", "family": "binomial"},
    "variables": {
        "y": {"type": "binary", "levels": [0, 1]},
        "x": {"type": "numeric", "range": [0, 1]},
        "b": {"type": "categorical", "levels": ["p", "q", "r"]},
    },
}
KEYS = ["study", "model", "variables", "validation", "security", "disclosure", "coordinator", "sites"]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PIECES = st.sampled_from(
    [
        *"xyb()+-*^:/|~102{}`%[]., '\"",
        "**",
        "**2",
        "I(",
        "log(",
        "%in%",
        "site",
        "lambda",
        "if",
        "not",
        "é",
        "²",
    ]
)


def complaint(tables: dict[str, object]) -> str:
    """What is wrong with these tables, or nothing; any error but an InputError fails the test."""
    try:
        Study.from_dict(tables, "study.toml")
    except InputError as error:
        return str(error)
    return ""


@given(st.text(max_size=300))
def test_no_text_escapes_as_another_error(text):
    with pytest.raises(InputError):
        Study.parse(text, "study.toml")


@given(st.sampled_from(KEYS), JUNK)
def test_no_table_escapes_as_another_error(key, junk):
    assert "\n" not in complaint({**TABLES, key: junk})


@settings(deadline=None)
@given(
    st.lists(PIECES, max_size=14).map("".join),
    st.sampled_from(["y ~ {} + (1 | site)", "y ~ ({} | site)", "{}"]),
)
def test_no_formula_escapes_as_another_error(text, place):
    formula = place.replace("{}", text)
    assert "\n" not in complaint({**TABLES, "model": {"formula": formula, "family": "binomial"}})
