"""The reference: the same estimator on one pooled table, in plain floating point."""

from __future__ import annotations

from time import perf_counter

import pandas as pd

from fedglmm_secure.errors import InputError
from fedglmm_secure.estimate import FitResult, estimator
from fedglmm_secure.estimate.newton import Report
from fedglmm_secure.rehearsal.source import StudySource, as_study
from fedglmm_secure.study.site_rows import SiteRows


def fit_pooled(study: StudySource, table: pd.DataFrame, *, report: Report = lambda _: None) -> FitResult:
    """Fit a study's model to one table that holds all sites' rows, as lme4 would: no sites, no sums, no fixed point.

    A column ``site`` names each row's site: required for ``(1 | site)``; elsewhere, where there is one, groups are
    nested in it. ``report`` is called with a TraceRow after each evaluation. Raises InputError (TableError) for a
    table that does not fit the study and FitError when there is no answer.
    """
    began = perf_counter()
    study = as_study(study)
    if study.validation is not None:
        raise InputError(
            'model.selection: "validation" needs the sites, which draw their own rows; use rehearse, or select by "aic"'
        )
    rows = SiteRows(study, study.pooled_design(table, "the pooled table"), "pooled")
    questions = estimator(study, report)
    try:
        question = next(questions)
        while True:
            question = questions.send(rows.answer(question))
    except StopIteration as end:
        result: FitResult = end.value
    return result.secured("pooled", {}, perf_counter() - began)
