"""The estimator of a study: asks its questions in turn and ends with what is reported."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from fedglmm_secure.estimate.inference import Estimates, Wald, in_table_units
from fedglmm_secure.estimate.newton import Maximum, Report, marginal_newton
from fedglmm_secure.estimate.result import (
    FitResult,
    FixedEffect,
    ModelName,
    OddsRatio,
    RandomEffect,
    Security,
    StudyName,
)
from fedglmm_secure.model.questions import Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.study import Study

SINGULAR = 1e-4
"""lme4's isSingular: a random effect's standard deviation below this counts as zero."""


def estimator(study: Study, report: Report) -> Generator[Question, Vector, FitResult]:
    """Yields questions, is sent the sum of all sites' answers to each, returns the FitResult.

    ``report`` is called with a TraceRow after each sum. Raises FitError when there is no answer to give.
    """
    model = study.model
    maximum = yield from marginal_newton(study.layout, model.nodes, model.tolerance, model.max_rounds, report)
    estimates = in_table_units(maximum.theta, maximum.derivatives, maximum.start.units)
    return _result(study, maximum, estimates)


def _result(study: Study, maximum: Maximum, estimates: Estimates) -> FitResult:
    layout, model, description = study.layout, study.model, maximum.start.description
    names = [layout.columns[i] for i in maximum.start.units.columns]
    p, P, rows = len(names), len(estimates.theta), round(description.rows)
    value = maximum.derivatives.value
    fixed = _fixed_effects(names, estimates)
    singular = bool(estimates.theta[-1] < SINGULAR)
    return FitResult(
        study=StudyName(
            study.study.id,
            study.study.title,
            study.study.rehearsal_of or study.hexdigest,
            rehearsal=study.study.rehearsal_of is not None,
        ),
        model=ModelName(model.formula, model.family, model.method, model.nodes, 0.0),
        converged=True,
        singular=singular,
        warnings=_warnings(maximum, layout.group, singular=singular),
        n_rows=rows,
        n_rows_dropped=round(description.dropped),
        n_groups={layout.group: round(description.groups)},
        n_sites=len(study.sites),
        fixed_effects=fixed,
        fixed_effects_covariance=tuple(map(tuple, estimates.covariance[:p, :p].tolist())),
        odds_ratios=tuple(_odds_ratio(effect) for effect in fixed if effect.name != "Intercept"),
        random_effects=(
            RandomEffect(
                layout.group,
                layout.terms,
                (float(estimates.theta[-1]),),
                (None if singular else float(estimates.std_errors[-1]),),
                ((1.0,),),
            ),
        ),
        residual_std_dev=None,
        log_likelihood=value,
        aic=-2.0 * value + 2.0 * P,
        bic=-2.0 * value + float(np.log(rows)) * P,
        n_parameters=P,
        gradient_norm=float(np.linalg.norm(maximum.derivatives.gradient)),
        security=Security(
            study.security.protocol,
            study.security.dropouts,
            study.security.minimum_sites,
            len(maximum.trace),
            tuple(row.numbers for row in maximum.trace),
        ),
        trace=maximum.trace,
        seconds={},
    )


def _fixed_effects(names: list[str], estimates: Estimates) -> tuple[FixedEffect, ...]:
    effects = []
    for name, estimate, error in zip(names, estimates.theta.tolist(), estimates.std_errors.tolist(), strict=False):
        wald = Wald.of(estimate, error)
        effects.append(FixedEffect(name, estimate, error, wald.z, wald.p_value, wald.lower, wald.upper))
    return tuple(effects)


def _odds_ratio(effect: FixedEffect) -> OddsRatio:
    ratio, lower, upper = np.exp([effect.estimate, effect.ci_lower, effect.ci_upper]).tolist()
    return OddsRatio(effect.name, ratio, lower, upper)


def _warnings(maximum: Maximum, group: str, *, singular: bool) -> tuple[str, ...]:
    warnings = []
    if maximum.start.dropped_columns:
        warnings.append(
            "fixed-effect model matrix is rank deficient: dropped "
            + ", ".join(maximum.start.dropped_columns)
            + ", which the columns before determine"
        )
    if singular:
        warnings.append(f"boundary (singular) fit: the standard deviation of {group} is estimated as zero")
    return tuple(warnings)
