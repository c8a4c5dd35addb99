"""Data that are hard: each ends in the right answer or in a sentence, never in a wrong number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure import FitResult, Study, fit_pooled, rehearse
from fedglmm_secure.errors import FitError, InputError

RANGES = {"x1": (-1e4, 1e4), "x2": (-10.0, 10.0), "n": (1.0, 1e6)}


def study(
    formula: str, *, family: str = "binomial", method: str = "laplace", ranges: dict | None = None, **model: object
) -> Study:
    response = formula.partition("~")[0].strip()
    outcome = {
        "binomial": {"type": "binary", "levels": [0, 1]},
        "poisson": {"type": "count", "range": [0, 1_000_000]},
        "gaussian": {"type": "numeric", "range": [-1e6, 1e6]},
    }[family]
    used = {name: bounds for name, bounds in (RANGES | (ranges or {})).items() if name in formula + str(model)}
    variables = {name: {"type": "numeric", "range": list(bounds)} for name, bounds in used.items()}
    if "| g)" in formula:
        variables["g"] = {"type": "group"}
    return Study.from_dict(
        {
            "study": {"id": "safety"},
            "model": {"formula": formula, "family": family, "method": method, **model},
            "variables": {response: outcome, **variables},
            "sites": [{"name": name} for name in ("east", "north", "west")],
        },
        "safety.toml",
    )


def data(seed: int = 1, rows: int = 600, groups: int = 24, sigma: float = 0.6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x1": rng.normal(size=rows), "x2": rng.normal(size=rows).clip(-9, 9)})
    frame["g"] = np.arange(rows) % groups
    frame["site"] = frame["g"].map(lambda group: ("east", "north", "west")[group % 3])
    frame["eta"] = -0.4 + 0.7 * frame["x1"] - 0.5 * frame["x2"] + sigma * rng.normal(size=groups)[frame["g"]]
    frame["y"] = (rng.random(rows) < 1 / (1 + np.exp(-frame["eta"]))).astype(int)
    return frame


def by_site(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): rows.drop(columns="site") for name, rows in frame.groupby("site")}


def fit(given: Study, frame: pd.DataFrame) -> FitResult:
    return rehearse(given, by_site(frame))


def estimates(result: FitResult) -> dict[str, float]:
    return {effect.name: effect.estimate for effect in result.fixed_effects}


def test_a_rank_deficient_design_drops_and_names_a_column() -> None:
    frame = data()
    frame["x3"] = 3.0 * frame["x1"] - 2.0 * frame["x2"] + 1.0
    ranges = {"x3": (-100.0, 100.0)}
    redundant = fit(study("y ~ x1 + x2 + x3 + (1 | g)", ranges=ranges), frame)
    assert "rank deficient: dropped x3" in redundant.warnings[0]
    plain = fit(study("y ~ x1 + x2 + (1 | g)"), frame)
    assert estimates(redundant) == pytest.approx(estimates(plain), rel=1e-9)
    assert redundant.n_parameters == plain.n_parameters


def test_a_column_constant_at_one_site_is_estimated_from_the_others() -> None:
    frame = data()
    frame.loc[frame["site"] == "west", "x2"] = 0.0
    given = study("y ~ x1 + x2 + (1 | g)")
    federated, pooled = fit(given, frame), fit_pooled(given, frame)
    assert estimates(federated) == pytest.approx(estimates(pooled), rel=1e-8)


@pytest.mark.parametrize("formula", ["y ~ rx + x1 + (1 | g)", "y ~ x1 * rx + x2 + (1 | g)"])
@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_a_reference_level_that_no_row_has_gives_its_place_to_the_next(formula: str, family: str) -> None:
    """As R's droplevels: coefficients are those of a study that never declared it."""
    frame = data()
    frame["rx"] = np.where(np.arange(600) % 3 == 0, "low", np.where(np.arange(600) % 5 == 0, "mid", "high"))
    if family == "gaussian":
        frame["y"] = frame["eta"] + np.random.default_rng(3).normal(size=600)

    def given(levels: list[str]) -> Study:
        content = study(formula.replace("rx", "x2"), family=family).model_dump()
        content["model"]["formula"] = formula
        content["variables"] |= {"rx": {"type": "categorical", "levels": levels}}
        if "x2" not in formula:
            del content["variables"]["x2"]
        return Study.from_dict(content, "levels.toml")

    result = fit(given(["none", "low", "mid", "high"]), frame)
    assert result.warnings == (
        "no row of the pooled data has rx = none, the reference level; rx = low takes its place",
    )
    assert estimates(result) == pytest.approx(estimates(fit(given(["low", "mid", "high"]), frame)), rel=1e-7)
    other = fit(given(["low", "mid", "none", "high"]), frame)
    assert other.warnings[0] == "no row of the pooled data has rx = none"
    assert "dropped rx[T.none]" in other.warnings[1]


def test_a_column_constant_everywhere_is_dropped() -> None:
    frame = data()
    frame["x2"] = 2.5
    result = fit(study("y ~ x1 + x2 + (1 | g)"), frame)
    assert "dropped x2" in result.warnings[0]


@pytest.mark.parametrize("kind", ["complete", "quasi-complete"])
@pytest.mark.parametrize("method", ["laplace", "glm", "pql"])
def test_separation_names_the_column_and_advises_a_penalty(kind: str, method: str) -> None:
    frame = data()
    frame["x2"] = np.where(frame["y"] == 1, 1.0, -1.0)
    if kind == "quasi-complete":
        frame.loc[frame["y"] == 1, "x2"] = np.where(np.arange((frame["y"] == 1).sum()) % 2, 1.0, -1.0)
    formula = "y ~ x1 + x2" if method == "glm" else "y ~ x1 + x2 + (1 | g)"
    rows: list[object] = []
    with pytest.raises(FitError, match=r"the estimate of x2 grows without limit.* set model\.penalty"):
        rehearse(study(formula, method=method), by_site(frame), report=rows.append)
    assert len(rows) <= 12
    if method == "pql":
        return  # has no penalty
    tamed = fit(study(formula, method=method, penalty=1.0), frame)
    assert np.isfinite(list(estimates(tamed).values())).all()
    assert "penalised fit" in tamed.warnings[-1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", ["laplace", "agh", "glm", "pql"])
def test_separation_by_a_number_is_named_before_a_site_refuses(method: str, seed: int) -> None:
    """The rows far from the threshold are decided first; sites do not answer where many are (study/guard.py)."""
    frame = data(seed, rows=300)
    frame["y"] = (frame["x2"] > 0.2).astype(int)
    formula = "y ~ x1 + x2" if method == "glm" else "y ~ x1 + x2 + (1 | g)"
    rows: list[object] = []
    with pytest.raises(FitError, match=r"x2 grows .* separate the outcome's levels.* set model\.penalty"):
        rehearse(study(formula, method=method), by_site(frame), report=rows.append)
    assert len(rows) <= 10
    if method != "pql":
        assert "penalised fit" in fit(study(formula, method=method, penalty=1.0), frame).warnings[-1]


def test_an_offset_that_the_intercept_undoes_is_no_separation() -> None:
    frame = data(3)
    frame["far"] = 40.0
    given = study("y ~ x1 + (1 | g)", offset="far", ranges={"far": (0.0, 50.0)})
    shifted, plain = fit(given, frame), fit(study("y ~ x1 + (1 | g)"), frame)
    assert shifted.fixed_effects[0].estimate == pytest.approx(plain.fixed_effects[0].estimate - 40.0, abs=1e-8)
    assert shifted.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-9)


@pytest.mark.parametrize("spread", [5.0, 6.5])
def test_a_very_strong_predictor_is_no_separation(spread: float) -> None:
    """Linear predictors of so large a standard deviation have 0.3 and 2 % of the rows decided."""
    frame = data(3, rows=6000)
    rng = np.random.default_rng(8)
    frame["x2"] = rng.normal(size=6000)
    frame["y"] = (rng.random(6000) < 1.0 / (1.0 + np.exp(-spread * frame["x2"]))).astype(int)
    result = fit(study("y ~ x1 + x2", method="glm"), frame)
    assert estimates(result)["x2"] == pytest.approx(spread, abs=4.0 * result.fixed_effects[2].std_error)


@pytest.mark.parametrize("method", ["laplace", "pql"])
def test_an_outcome_that_never_occurs_ends_in_a_sentence(method: str) -> None:
    frame = data()
    frame["y"] = 0
    with pytest.raises(FitError, match="the same in every row"):
        fit(study("y ~ x1 + (1 | g)", method=method), frame)


def test_an_intercept_that_runs_away_beside_random_slopes_has_two_explanations() -> None:
    """The estimates alone do not tell an outcome that never occurs from slopes of a variable far from 0."""
    frame = data()
    frame["y"] = 0
    with pytest.raises(FitError, match=r"the same in every row, or nearly, or the variable of a random slope \(x1\)"):
        fit(study("y ~ x1 + (1 | g) + (0 + x1 | g)"), frame)


def test_separation_by_a_rare_level_blames_it_alone() -> None:
    """In standardised columns the intercept has to follow; in the table's it does not move."""
    frame = data()
    frame["x2"] = (np.arange(600) % 10 == 0).astype(float)
    frame.loc[frame["x2"] == 1.0, "y"] = 0
    with pytest.raises(FitError, match="the estimate of x2 grows without limit"):
        fit(study("y ~ x1 + x2 + (1 | g)", ranges={"x2": (0.0, 1.0)}), frame)


def test_a_singular_fit_is_reported_as_such() -> None:
    frame = data(sigma=0.0)
    order = np.lexsort([frame["x1"], frame["y"]])
    frame.loc[order, "g"] = np.arange(len(frame)) % 24
    frame["site"] = frame["g"].map(lambda group: ("east", "north", "west")[group % 3])
    result = fit(study("y ~ x1 + (1 | g)"), frame)
    assert result.singular
    assert "boundary (singular) fit" in result.warnings[0]
    assert result.random_effects[0].std_dev == (0.0,)
    assert result.random_effects[0].std_error == (None,)
    glm = fit(study("y ~ x1", method="glm"), frame)
    assert estimates(result) == pytest.approx(estimates(glm), rel=1e-9)


def test_a_random_slope_that_does_not_vary_is_a_singular_fit() -> None:
    result = fit(study("y ~ x1 + (1 + x1 | g)", ranges={"x1": (-5.0, 5.0)}), data())
    assert result.random_effects[0].terms == ("Intercept", "x1")
    ((_, correlation), _) = result.random_effects[0].correlation
    assert result.singular == (abs(abs(correlation) - 1.0) < 1e-9 or min(result.random_effects[0].std_dev) < 1e-4)
    assert result.singular
    # on the boundary there are no standard errors of standard deviations and correlations
    spreads = result.summary().partition("Random effects:")[2].partition("Number of obs")[0]
    assert "Std. Error" not in spreads
    assert f"{correlation:.3f}" in spreads


def test_nearly_collinear_columns_give_the_answer_of_their_difference() -> None:
    frame = data()
    frame["x3"] = frame["x1"] + 1e-3 * frame["x2"]
    result = estimates(fit(study("y ~ x1 + x3 + (1 | g)", ranges={"x1": (-5, 5), "x3": (-5, 5)}), frame))
    plain = estimates(fit(study("y ~ x1 + x2 + (1 | g)"), frame))
    assert 1e-3 * result["x3"] == pytest.approx(plain["x2"], rel=1e-6)
    assert result["x1"] + result["x3"] == pytest.approx(plain["x1"], rel=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_a_variable_change_its_estimate_alone(scale: float) -> None:
    frame = data()
    plain = fit(study("y ~ x1 + x2 + (1 | g)"), frame)
    frame["x2"] *= scale
    scaled = fit(study("y ~ x1 + x2 + (1 | g)", ranges={"x2": (-10 * scale, 10 * scale)}), frame)
    assert scaled.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-10)
    assert estimates(scaled)["x2"] * scale == pytest.approx(estimates(plain)["x2"], rel=1e-7)


def test_groups_of_one_row_are_fitted() -> None:
    frame = data(rows=300)
    frame["g"] = np.arange(300)
    given = study("y ~ x1 + (1 | g)", method="agh", nodes=9)
    assert estimates(fit(given, frame)) == pytest.approx(estimates(fit_pooled(given, frame)), rel=1e-6)


def test_poisson_counts_in_the_thousands() -> None:
    frame = data()
    frame["y"] = np.random.default_rng(2).poisson(np.exp(8.0 + 0.3 * frame["eta"]))
    result = fit(study("y ~ x1 + x2 + (1 | g)", family="poisson"), frame)
    assert estimates(result)["x1"] == pytest.approx(0.21, abs=0.01)
    assert result.gradient_norm < 1e-6


def test_linear_predictors_beyond_700_are_no_obstacle() -> None:
    frame = data()
    frame["x2"] = np.where(np.arange(600) < 100, np.where(frame["y"] == 1, 800.0, -800.0), 0.0)
    given = study("y ~ x1 + (1 | g)", ranges={"x2": (-1000.0, 1000.0)}, offset="x2")
    result = fit(given, frame)
    # rows that the offset decides alone carry no information
    others = fit(study("y ~ x1 + (1 | g)"), frame[100:])
    assert estimates(result) == pytest.approx(estimates(others), rel=1e-8)


def test_one_group_alone_gives_a_singular_fit_or_a_sentence() -> None:
    frame = data(sigma=0.0)
    frame["g"], frame["site"] = 1, "east"
    given = study("y ~ x1 + (1 | g)")
    result = fit_pooled(given, frame)
    assert result.singular


def test_a_pooled_table_says_whose_rows_it_holds() -> None:
    given, frame = study("y ~ x1 + (1 | g)"), data()
    with pytest.raises(InputError, match="no column site"):
        fit_pooled(given, frame.drop(columns="site"))
    with pytest.raises(InputError, match="rows of south"):
        fit_pooled(given, frame.replace({"site": {"west": "south"}}))


def test_weights_count_as_repeated_rows() -> None:
    frame = data()
    frame["n"] = np.random.default_rng(3).integers(1, 4, len(frame)).astype(float)
    weighted = fit(study("y ~ x1 + (1 | g)", weights="n"), frame)
    repeated = fit(study("y ~ x1 + (1 | g)"), frame.loc[frame.index.repeat(frame["n"].astype(int))])
    assert estimates(weighted) == pytest.approx(estimates(repeated), rel=1e-8)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-10)


def test_a_linear_model_with_one_row_a_group_ends_in_a_sentence() -> None:
    frame = data(rows=300)
    frame["g"], frame["y"] = np.arange(300), frame["eta"]
    with pytest.raises(FitError, match="as many groups as there are rows"):
        fit(study("y ~ x1 + (1 | g)", family="gaussian"), frame)


def test_a_random_slope_of_a_constant_ends_in_a_sentence() -> None:
    frame = data()
    frame["x2"] = 0.0
    with pytest.raises(FitError, match=r"does not vary|leaves every range|did not converge"):
        fit(study("y ~ x1 + (1 + x2 | g)", ranges={"x2": (-1.0, 1.0)}), frame)


def test_a_site_without_any_event_is_no_separation() -> None:
    frame = data(sigma=2.0)
    frame.loc[frame["site"] == "west", "y"] = 0
    given = study("y ~ x1 + (1 | site)")
    assert estimates(fit(given, frame)) == pytest.approx(estimates(fit_pooled(given, frame)), rel=1e-6)


def test_poisson_slopes_survive_a_step_too_far() -> None:
    rng = np.random.default_rng(11)
    frame = data(rows=84, groups=12)
    slopes, effects = rng.normal(size=12), 2.0 * rng.normal(size=12)
    eta = 1.0 + (0.5 + slopes[frame["g"]]) * frame["x1"] + effects[frame["g"]]
    frame["y"] = rng.poisson(np.exp(np.clip(eta, -5.0, 6.0)))
    result = fit(study("y ~ x1 + (1 | g) + (0 + x1 | g)", family="poisson", ranges={"x1": (-5.0, 5.0)}), frame)
    assert result.gradient_norm < 1e-5


def test_a_study_is_given_as_itself_its_file_or_its_tables(tmp_path) -> None:
    given, frame = study("y ~ x1 + (1 | g)"), data()
    path = tmp_path / "study.toml"
    path.write_text(given.to_toml(), encoding="utf-8")
    tables = given.model_dump(exclude_none=True)
    values = {fit_pooled(source, frame).log_likelihood for source in (given, path, str(path), tables)}
    assert len(values) == 1
    for wrong, sentence in (
        (3, "or its tables as a dictionary, not int"),
        (given.to_toml(), r"Study\.parse\(text\)"),
        (tables | {"model": {}}, "the study: model"),
    ):
        with pytest.raises(InputError, match=sentence):
            fit_pooled(wrong, frame)
    with pytest.raises(InputError, match="is a dictionary of tables, such as study and model, not list"):
        Study.from_dict([])


def test_a_pooled_fit_speaks_of_one_table() -> None:
    assert "one pooled table, " in fit_pooled(study("y ~ x1 + (1 | g)"), data()).summary()


@pytest.mark.parametrize("mean", [500.0, 50_000.0])
def test_large_counts_without_any_variance_between_groups_end_in_time(mean: float) -> None:
    """The likelihood is then convex in the variances nearly down to 0, where they end or nearly so."""
    frame = data(2, rows=300, groups=15)
    frame["y"] = np.random.default_rng(2).poisson(mean * np.exp(0.3 * frame["x1"]))
    result = fit(study("y ~ x1 + (1 + x1 | g)", family="poisson", ranges={"x1": (-5.0, 5.0)}), frame)
    assert result.security.sums <= 30
    assert max(result.random_effects[0].std_dev) < 0.05
    plain = fit(study("y ~ x1", family="poisson", method="glm", ranges={"x1": (-5.0, 5.0)}), frame)
    assert result.log_likelihood >= plain.log_likelihood - 1e-6
