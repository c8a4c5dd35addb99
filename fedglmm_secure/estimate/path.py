"""A path of penalised fits and the choice among them (Li et al. 2022, with effective degrees of freedom)."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.inference import effective_parameters, in_table_units
from fedglmm_secure.estimate.newton import Maximum, Trace, maximise
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.result import PathPoint
from fedglmm_secure.estimate.start import Start
from fedglmm_secure.model.questions import ALL, TRAINING, HeldOutLikelihood, Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.study import Study

REFIT_OFFSET = 0.01
"""Relative to each entry, and once absolute, as estimates may be zeros: a site refuses all rows at a theta at which it
answered for the training rows."""

Points = tuple[PathPoint, ...]
Fits = dict[float, Maximum]


def penalty_path(study: Study, start: Start, trace: Trace) -> Generator[Question, Vector, tuple[Maximum, Points]]:
    """Fit every penalty of the study and choose one; the chosen fit and all points, in the study's order.

    (1) From the largest penalty to the smallest, each from the estimate before; a penalty that has no fit is recorded
    with its reason. (2) With selection = "validation" the fits are to the training rows, and one more sum brings the
    validation rows' log-likelihood of each. (3) The choice: smallest AIC or BIC, or largest validation log-likelihood;
    with validation the chosen penalty is fitted again, to all rows. Raises FitError when no penalty has a fit.
    """
    validating = study.model.selection == "validation"
    fits: Fits = {}
    errors: dict[float, str] = {}
    theta = start.theta
    for penalty in sorted(set(_penalties(study)), reverse=True):  # (1)
        objective = Objective(study.layout, start.units, penalty)
        try:
            fits[penalty] = yield from maximise(
                objective, start, theta, study.model, trace, TRAINING if validating else ALL
            )
            theta = fits[penalty].theta
        except FitError as error:
            errors[penalty] = str(error)
    if not fits:
        raise FitError(f"no penalty of the path has a fit; for the largest, {errors[max(errors)]}")
    rows = start.description.rows
    held_out: list[float | None] = [None] * len(fits)
    if validating:  # (2)
        validation_rows, *values = yield from _held_out(study, start, fits, trace)
        rows, held_out = rows - validation_rows, list(values)
    points = {penalty: PathPoint(penalty, error=sentence) for penalty, sentence in errors.items()}
    for (penalty, fit), value in zip(fits.items(), held_out, strict=True):
        points[penalty] = _point(penalty, fit, rows, value)
    chosen = min(fits, key=lambda penalty: _loss(points[penalty], study.model.selection))  # (3)
    best = fits[chosen]
    if validating:
        # near the training rows' estimate, not at it: there the validation rows' share would follow by subtraction
        near = best.theta + REFIT_OFFSET * np.abs(best.theta)
        near[0] += REFIT_OFFSET
        best = yield from maximise(best.objective, start, near, study.model, trace)
    return best, tuple(points[penalty] for penalty in _penalties(study))


def _penalties(study: Study) -> tuple[float, ...]:
    penalty = study.model.penalty
    return penalty if isinstance(penalty, tuple) else (penalty,)


def _held_out(study: Study, start: Start, fits: Fits, trace: Trace) -> Generator[Question, Vector, list[float]]:
    """Validation rows, then their log-likelihood at each fit."""
    thetas = tuple(tuple(fit.theta.tolist()) for fit in fits.values())
    description = tuple(start.description.vector().tolist())
    question = HeldOutLikelihood(thetas, study.model.nodes, start.units.columns, description)
    total = yield question
    trace.record(question, total)
    return list(total.tolist())


def _point(penalty: float, fit: Maximum, rows: float, held_out: float | None) -> PathPoint:
    estimates = in_table_units(fit.objective, fit.theta, fit.penalised)
    effective = effective_parameters(fit.log_likelihood, fit.penalised)
    deviance, layout = -2.0 * fit.log_likelihood.value, fit.objective.layout
    names = [layout.columns[i] for i in fit.objective.units.columns]
    return PathPoint(
        penalty,
        fit.log_likelihood.value,
        effective,
        aic=deviance + 2.0 * effective,
        bic=deviance + float(np.log(rows)) * effective,
        validation_log_likelihood=held_out,
        estimates=dict(zip(names, estimates.beta.tolist(), strict=False)),
        std_dev=tuple(estimates.random_effects(layout).sd.tolist()),
    )


def _loss(point: PathPoint, selection: str | None) -> float:
    loss = {
        "aic": point.aic,
        "bic": point.bic,
        "validation": None if point.validation_log_likelihood is None else -point.validation_log_likelihood,
    }[selection or "aic"]
    return np.inf if loss is None else loss
