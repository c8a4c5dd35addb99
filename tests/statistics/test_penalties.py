"""Penalised fits: their path, the choice among them, and the rows that sites set aside."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure import FitResult, Study, fit_pooled, rehearse
from fedglmm_secure.errors import InputError

PATH = [0.0, 0.5, 2.0, 10.0, 100.0]


def with_model(case, **model: object) -> tuple[Study, dict[str, pd.DataFrame], pd.DataFrame]:
    study, tables, pooled = case.over(pd.Series(pd.factorize(case.table["provnum"])[0] % 5, index=case.table.index), 1)
    data = study.model_dump()
    data["model"] |= model
    return Study.from_dict(data, "penalties.toml"), tables, pooled


@pytest.fixture(scope="module")
def case(load_case):
    return load_case("medpar")


@pytest.fixture(scope="module")
def path(case) -> FitResult:
    study, tables, _ = with_model(case, penalty=PATH)
    return rehearse(study, tables)


def test_each_point_of_a_path_is_the_fit_with_that_penalty(case, path: FitResult) -> None:
    assert [point.penalty for point in path.path] == PATH
    for point in path.path[1:3]:
        study, tables, _ = with_model(case, penalty=point.penalty)
        single = rehearse(study, tables)
        assert single.log_likelihood == pytest.approx(point.log_likelihood, rel=1e-10)
        assert single.effective_parameters == pytest.approx(point.effective_parameters, rel=1e-6)
        for effect in single.fixed_effects:
            assert abs(effect.estimate - point.estimates[effect.name]) < 1e-7 * effect.std_error


def test_a_path_without_penalty_is_the_maximum_likelihood_fit(case, path: FitResult) -> None:
    study, tables, _ = with_model(case)
    plain = rehearse(study, tables)
    assert path.path[0].effective_parameters == pytest.approx(plain.n_parameters)
    assert path.path[0].aic == pytest.approx(plain.aic)
    assert path.path[0].bic == pytest.approx(plain.bic)


def test_larger_penalties_have_fewer_effective_parameters_and_a_lower_likelihood(path: FitResult) -> None:
    effective = [point.effective_parameters for point in path.path]
    values = [point.log_likelihood for point in path.path]
    assert effective == sorted(effective, reverse=True)
    assert values == sorted(values, reverse=True)


def test_warm_starts_make_a_path_cheaper_than_its_fits(path: FitResult) -> None:
    assert path.security.sums <= 1 + 5 * len(PATH)


@pytest.mark.parametrize("criterion", ["aic", "bic"])
def test_the_smallest_criterion_is_chosen(case, criterion: str) -> None:
    study, tables, _ = with_model(case, penalty=PATH, selection=criterion)
    fit = rehearse(study, tables)
    assert fit.selection == criterion
    assert fit.model.penalty == min(fit.path, key=lambda point: getattr(point, criterion)).penalty
    assert f"chosen by {criterion}" in fit.summary()


def test_validation_fits_the_training_rows_and_scores_the_others(case) -> None:
    study, tables, pooled = with_model(case, penalty=PATH, selection="validation")
    fit = rehearse(study, tables)
    scores = [point.validation_log_likelihood for point in fit.path]
    assert fit.model.penalty == fit.path[int(np.argmax(scores))].penalty
    # the chosen penalty is fitted again, to all rows
    chosen, _, _ = with_model(case, penalty=fit.model.penalty)
    again = fit_pooled(chosen, pooled)
    assert fit.n_rows == again.n_rows
    assert fit.log_likelihood == pytest.approx(again.log_likelihood, rel=1e-10)


def test_training_and_validation_rows_are_those_that_the_sites_draw(case) -> None:
    """The same path on the training rows of all sites, pooled, has the same estimates."""
    study, tables, _ = with_model(case, penalty=[1.0, 5.0], selection="validation")
    fit = rehearse(study, tables)
    drawn = []
    for name, table in tables.items():
        numbered = table.assign(row=np.arange(len(table)))
        design = study.design(numbered, name, name)
        training, validation = study.split(design, name)
        assert training.rows + validation.rows == design.rows
        drawn.append(training.rows)
    assert 0.6 < sum(drawn) / fit.n_rows < 0.8
    assert all(point.validation_log_likelihood < 0.0 for point in fit.path)


def test_a_pooled_table_cannot_draw_the_sites_rows(case) -> None:
    study, _, pooled = with_model(case, penalty=PATH, selection="validation")
    with pytest.raises(InputError, match=r"model\.selection"):
        fit_pooled(study, pooled)


def test_gaussian_and_poisson_fits_have_paths_too(load_case) -> None:
    for name, group in (("medpar-los", "provnum"), ("sleepstudy", "Subject")):
        case = load_case(name)
        study, tables, _ = case.over(pd.Series(pd.factorize(case.table[group])[0] % 3, index=case.table.index), 1)
        data = study.model_dump()
        data["model"] |= {"penalty": [0.0, 1.0], "selection": "validation"}
        fit = rehearse(Study.from_dict(data, name), tables)
        assert len(fit.path) == 2
        assert all(np.isfinite(point.validation_log_likelihood) for point in fit.path)
