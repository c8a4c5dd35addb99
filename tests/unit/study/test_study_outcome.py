"""Response, offset, weights and trials: what reaches the design, and that its constant completes the density."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from fedglmm_secure.errors import TableError
from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.study import Study

VARIABLES = {
    "event": {"type": "binary", "levels": ["no", "yes"]},
    "count": {"type": "count", "range": [0, 50]},
    "score": {"type": "numeric", "range": [-10, 30]},
    "size": {"type": "count", "range": [0, 60]},
    "x": {"type": "numeric", "range": [-2, 2]},
    "log_time": {"type": "numeric", "range": [-1, 3]},
    "w": {"type": "numeric", "range": [0, 5]},
}
FRAME = pd.DataFrame(
    {
        "event": ["no", "yes", "no", "yes", "yes"],
        "count": [0, 3, 7, 1, 12],
        "score": [-1.5, 4.0, 29.0, 0.0, 7.25],
        "size": [4, 3, 20, 1, 13],
        "x": [0.5, -1.0, 2.0, 0.0, 1.5],
        "log_time": [0.0, 1.0, -0.5, 2.5, 0.25],
        "w": [1.0, 0.5, 2.0, 3.5, 1.25],
    }
)


def study(formula: str, family: str, **model: object) -> Study:
    tables = {
        "study": {"id": "outcome"},
        "model": {"formula": formula, "family": family, **model},
        "variables": VARIABLES,
    }
    return Study.from_dict(tables, "study.toml")


def log_density(design, family: str, beta: np.ndarray) -> float:
    """What a site's rows add to the log-likelihood without random effects; phi is 1 / the last coefficient."""
    (density,) = FAMILIES[family].derivatives(design.offset + design.x @ beta, design.y, design.weights, 0)
    scale = design.rows * np.log(beta[-1]) if family == "gaussian" else 0.0
    return float(density.sum()) + scale + design.constant


COEFFICIENTS = st.tuples(st.floats(-2, 2), st.floats(-2, 2))
EXTRA = st.fixed_dictionaries({}, optional={"offset": st.just("log_time"), "weights": st.just("w")})


def shift_and_weights(extra) -> tuple[np.ndarray, np.ndarray]:
    offset = FRAME["log_time"].to_numpy() if "offset" in extra else np.zeros(5)
    return offset, FRAME["w"].to_numpy() if "weights" in extra else np.ones(5)


@given(COEFFICIENTS, EXTRA)
def test_binomial_density(beta, extra):
    offset, w = shift_and_weights(extra)
    p = expit(offset + beta[0] + beta[1] * FRAME["x"].to_numpy())
    design = study("event ~ x + (1 | site)", "binomial", **extra).design(FRAME, "a", "a.csv")
    expected = w @ stats.bernoulli.logpmf(FRAME["event"] == "yes", p)
    assert log_density(design, "binomial", np.array(beta)) == pytest.approx(expected, rel=1e-12)
    assert design.constant == 0.0


@given(COEFFICIENTS, EXTRA)
def test_binomial_density_with_trials(beta, extra):
    offset, w = shift_and_weights(extra)
    p = expit(offset + beta[0] + beta[1] * FRAME["x"].to_numpy())
    design = study("count ~ x + (1 | site)", "binomial", trials="size", **extra).design(FRAME, "a", "a.csv")
    expected = w @ stats.binom.logpmf(FRAME["count"], FRAME["size"], p)
    assert log_density(design, "binomial", np.array(beta)) == pytest.approx(expected, rel=1e-11)
    np.testing.assert_array_equal(design.y, FRAME["count"] / FRAME["size"])
    np.testing.assert_array_equal(design.weights, w * FRAME["size"])


@given(COEFFICIENTS, EXTRA)
def test_poisson_density(beta, extra):
    offset, w = shift_and_weights(extra)
    mean = np.exp(offset + beta[0] + beta[1] * FRAME["x"].to_numpy())
    design = study("count ~ x + (1 | site)", "poisson", **extra).design(FRAME, "a", "a.csv")
    expected = w @ stats.poisson.logpmf(FRAME["count"], mean)
    assert log_density(design, "poisson", np.array(beta)) == pytest.approx(expected, rel=1e-11)


@given(COEFFICIENTS, EXTRA, st.floats(0.1, 10))
def test_gaussian_density(beta, extra, phi):
    """The variance is phi^2 / w; the last column is offset - y, its coefficient 1 / phi."""
    offset, w = shift_and_weights(extra)
    mean = offset + beta[0] + beta[1] * FRAME["x"].to_numpy()
    one = study("score ~ x + (1 | site)", "gaussian", **extra)
    design = one.design(FRAME, "a", "a.csv")
    expected = stats.norm.logpdf(FRAME["score"], mean, phi / np.sqrt(w)).sum()
    assert log_density(design, "gaussian", np.array([*beta, 1.0]) / phi) == pytest.approx(expected, rel=1e-11)
    np.testing.assert_array_equal(design.x[:, -1], offset - FRAME["score"])
    assert not design.y.any()
    assert not design.offset.any()
    assert one.layout.columns == ("Intercept", "x", "score")


@pytest.mark.parametrize(
    ("formula", "extra", "centre", "half"),
    [
        ("score ~ x + (1 | site)", {}, -10.0, 20.0),
        ("score ~ x + (1 | site)", {"offset": "log_time"}, -9.0, 22.0),
        ("score ~ 0 + x + (1 | site)", {}, 0.0, 30.0),
        ("score ~ 0 + x + (1 | site)", {"offset": "log_time"}, 0.0, 31.0),
        ("count ~ x", {"method": "glm"}, -25.0, 25.0),
    ],
)
def test_scale_of_the_gaussian_response(formula, extra, centre, half):
    layout = study(formula, "gaussian", **extra).layout
    assert (layout.centre[-1], layout.half[-1]) == (centre, half)
    assert layout.levels == ()


def test_slopes_are_in_the_units_of_the_table():
    one = study("event ~ x + (1 | site) + (0 + log_time + score | site)", "binomial")
    design = one.design(FRAME, "a", "a.csv")
    np.testing.assert_array_equal(design.z, np.column_stack([np.ones(5), FRAME[["log_time", "score"]]]))
    assert one.layout.z_half == (1.0, 3.0, 30.0)
    assert one.layout.blocks == (1, 2)


def test_slopes_correlated_with_an_intercept_may_be_centred_at_mid_range():
    one = study("event ~ x + (1 + log_time + score | site)", "binomial")
    middle = [sum(one.variables[name].range) / 2 for name in ("log_time", "score")]
    assert one.layout.z_centre == (0.0, *middle)
    assert one.layout.intercept_of == (None, 0, 0)
    design = one.design(FRAME, "a", "a.csv")
    np.testing.assert_array_equal(design.z, np.column_stack([np.ones(5), FRAME[["log_time", "score"]]]))


def test_without_random_terms_all_rows_are_one_group():
    for design in (
        study("event ~ x", "binomial", method="glm").design(FRAME, "a", "a.csv"),
        study("event ~ x", "binomial", method="glm").pooled_design(FRAME.assign(site="s"), "a.csv"),
    ):
        assert design.z.shape == (5, 0)
        assert (design.group_names, design.starts.tolist()) == (("",), [0])


def test_trials_are_counted_as_cells():
    one = study("count ~ x + event + (1 | site)", "binomial", trials="size")
    assert one.layout.levels == ("count = success", "count = failure", "event = no", "event = yes")
    np.testing.assert_array_equal(one.design(FRAME, "a", "a.csv").level_counts, [23, 18, 2, 3])


@pytest.mark.parametrize("column", ["size", "log_time", "w"])
def test_a_missing_offset_weight_or_trial_drops_the_row(column):
    one = study("count ~ x + (1 | site)", "binomial", trials="size", offset="log_time", weights="w")
    holed = FRAME.astype(object)
    holed.loc[1, column] = None
    design = one.design(holed, "a", "a.csv")
    assert (design.rows, design.dropped) == (4, 1)
    with pytest.raises(TableError, match=f"column {column}, which the study uses, is missing"):
        one.design(FRAME.drop(columns=column), "a", "a.csv")


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("w", [0, 1, 0, 1, 1], "column w, the weights: 2 values are not above 0, such as 0"),
        ("w", [1, 1, 6, 1, 1], "column w: 1 value is outside the declared range [0, 5]"),
        ("log_time", [9, 1, 1, 1, 1], "column log_time: 1 value is outside the declared range [-1, 3]"),
        ("size", [0, 3, 20, 1, 13], "column size, the trials: 1 value is not above 0, such as 0"),
        ("size", [4, 2, 6, 1, 13], "column count: 2 values are above the number of trials in column size, such as 3"),
        ("size", [4, 3.5, 20, 1, 13], "column size: 1 value is not a count"),
    ],
)
def test_wrong_weights_and_trials_are_refused_with_their_count(column, values, sentence):
    one = study("count ~ x + (1 | site)", "binomial", trials="size", offset="log_time", weights="w")
    with pytest.raises(TableError) as error:
        one.design(FRAME.assign(**{column: values}), "a", "a.csv")
    assert sentence in str(error.value)
    assert str(error.value).startswith("a.csv: ")


def test_a_negative_weight_is_refused():
    one = study("event ~ x + (1 | site)", "binomial", weights="log_time")
    with pytest.raises(TableError, match=r"column log_time, the weights: 2 values are not above 0, such as 0"):
        one.design(FRAME, "a", "a.csv")
