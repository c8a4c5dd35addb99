"""The estimator of a study: asks its questions in turn and ends with what is reported."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.linearised import fixed_point
from fedglmm_secure.estimate.newton import Maximum, Report, Trace, describe, maximise
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.path import penalty_path
from fedglmm_secure.estimate.report import reported
from fedglmm_secure.estimate.result import FitResult
from fedglmm_secure.estimate.start import Start
from fedglmm_secure.model.questions import Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.study import Study


def estimator(study: Study, report: Report) -> Generator[Question, Vector, FitResult]:
    """Yields questions, is sent the sum of all sites' answers to each, returns the FitResult.

    ``report`` is called with a TraceRow after each sum. Raises FitError when there is no answer to give, and for sums
    that no rows give, such as a site with a broken program may bring about.
    """
    try:
        return (yield from _fit(study, report))
    except (np.linalg.LinAlgError, ArithmeticError) as error:
        raise FitError(
            "the sums are out of all range: no step follows from them; narrow the declared ranges, look for an outlier "
            "in a covariate, or for a site whose program is another version"
        ) from error


def _fit(study: Study, report: Report) -> Generator[Question, Vector, FitResult]:
    trace = Trace(report)
    start = yield from describe(study.layout, trace, has_offset=study.model.offset is not None)
    if isinstance(study.model.penalty, tuple):
        maximum, path = yield from penalty_path(study, start, trace)
        return reported(study, start, maximum, trace, path)
    maximum = yield from _single_fit(study, start, trace)
    return reported(study, start, maximum, trace, ())


def _single_fit(study: Study, start: Start, trace: Trace) -> Generator[Question, Vector, Maximum]:
    model = study.model
    if model.method == "pql":
        objective = Objective(study.layout, start.units, working=True)
        return (yield from fixed_point(objective, start, model, trace))
    assert not isinstance(model.penalty, tuple)  # noqa: S101  a path is fitted elsewhere
    objective = Objective(study.layout, start.units, model.penalty)
    return (yield from maximise(objective, start, start.theta, model, trace))
