"""The reference: the same estimator on one pooled table, in plain floating point."""

from __future__ import annotations

from time import perf_counter

import pandas as pd

from fedglmm_secure.errors import InputError
from fedglmm_secure.estimate import FitResult
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.estimate.newton import Report
from fedglmm_secure.model.answers import answer
from fedglmm_secure.rehearsal.source import StudySource, as_study, check_frame
from fedglmm_secure.study import Study


def fit_pooled(study: StudySource, table: pd.DataFrame, *, report: Report = lambda _: None) -> FitResult:
    """Fit a study's model to one table that holds all sites' rows, as lme4 would: no sites, no sums, no fixed point.

    A column ``site`` names each row's site: required for ``(1 | site)``; elsewhere, where there is one, groups are
    nested in it. ``report`` is called with a TraceRow after each evaluation. Raises InputError (TableError) for a
    table that does not fit the study and FitError when there is no answer.
    """
    began = perf_counter()
    study = as_study(study)
    check_frame(table, "the pooled table")
    _check_sites(study, table)
    if study.validation is not None:
        raise InputError(
            'model.selection: "validation" needs the sites, which draw their own rows; use rehearse, or select by "aic"'
        )
    design = study.pooled_design(table, "the pooled table")
    questions = estimator(study, report)
    try:
        question = next(questions)
        while True:
            question = questions.send(answer(question, study.layout, design))
    except StopIteration as end:
        result: FitResult = end.value
    return result.secured("pooled", {}, perf_counter() - began)


def _check_sites(study: Study, table: pd.DataFrame) -> None:
    """A roster says which sites there are, so that groups are nested in the same sites as in a federated fit."""
    roster = {site.name for site in study.sites}
    if not roster:
        return
    if "site" not in table and len(roster) > 1:
        raise InputError(
            "the pooled table has no column site, so equal groups of two sites would be taken for one; add the column, "
            "or leave [[sites]] out of the study"
        )
    unknown = sorted(set(table["site"].dropna().astype(str)) - roster) if "site" in table else []
    if unknown:
        names = ", ".join(unknown[:5])
        raise InputError(f"the pooled table has rows of {names}, which the study's roster does not have")
