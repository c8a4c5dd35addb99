"""From a maximum to the FitResult of a study."""

from __future__ import annotations

import numpy as np

from fedglmm_secure.estimate.inference import Estimates, Wald, effective_parameters, in_table_units
from fedglmm_secure.estimate.newton import Maximum, Trace
from fedglmm_secure.estimate.result import (
    FitResult,
    FixedEffect,
    ModelName,
    PathPoint,
    RandomEffect,
    Ratio,
    Security,
    StudyName,
)
from fedglmm_secure.estimate.start import Start
from fedglmm_secure.model.design import Layout
from fedglmm_secure.study import Study


def reported(study: Study, start: Start, maximum: Maximum, trace: Trace, path: tuple[PathPoint, ...]) -> FitResult:
    """All that a fit gives; the program that ran it adds bytes and seconds."""
    layout, model, description = study.layout, study.model, start.description
    estimates = in_table_units(maximum.objective, maximum.theta, maximum.penalised)
    rows, P = round(description.rows), len(maximum.theta)
    freedom = None
    if model.method == "glm" and model.family == "gaussian":
        freedom = rows - (P - 1)
        estimates = estimates.with_unbiased_scale(rows / freedom)
    names = [layout.columns[i] for i in start.units.columns]
    fixed = _fixed_effects(names, estimates, freedom)
    effective = effective_parameters(maximum.log_likelihood, maximum.penalised)
    value = None if model.method == "pql" else maximum.log_likelihood.value
    p = len(estimates.beta)
    return FitResult(
        study=StudyName(
            study.study.id,
            study.study.title,
            study.study.rehearsal_of or study.hexdigest,
            rehearsal=study.study.rehearsal_of is not None,
        ),
        model=ModelName(
            model.formula,
            model.family,
            model.method,
            model.nodes,
            maximum.objective.penalty,
            model.offset,
            model.weights,
            model.trials,
        ),
        converged=True,
        singular=estimates.singular,
        warnings=_warnings(start, estimates, layout, maximum.objective.penalty),
        n_rows=rows,
        n_rows_dropped=round(description.dropped),
        n_groups={layout.group: round(description.groups)} if layout.group else {},
        n_sites=len(study.sites),
        fixed_effects=fixed,
        fixed_effects_covariance=tuple(map(tuple, estimates.covariance[:p, :p].tolist())),
        ratios=() if model.family == "gaussian" else tuple(map(_ratio, (e for e in fixed if e.name != "Intercept"))),
        random_effects=_random_effects(layout, estimates),
        residual_std_dev=estimates.phi,
        residual_std_error=estimates.phi_error,
        log_likelihood=value,
        aic=None if value is None else -2.0 * value + 2.0 * effective,
        bic=None if value is None else -2.0 * value + float(np.log(rows)) * effective,
        n_parameters=P,
        effective_parameters=effective,
        selection=model.selection,
        path=path,
        gradient_norm=float(np.linalg.norm(maximum.penalised.gradient)),
        security=Security(
            study.security.protocol,
            study.security.dropouts,
            study.security.minimum_sites,
            len(trace.rows),
            tuple(row.numbers for row in trace.rows),
        ),
        trace=tuple(trace.rows),
        seconds={},
    )


def _fixed_effects(names: list[str], estimates: Estimates, freedom: int | None) -> tuple[FixedEffect, ...]:
    effects = []
    for name, estimate, error in zip(names, estimates.beta.tolist(), estimates.beta_errors.tolist(), strict=False):
        wald = Wald.of(estimate, error, freedom)
        effects.append(FixedEffect(name, estimate, error, wald.statistic, wald.p_value, wald.lower, wald.upper))
    return tuple(effects)


def _random_effects(layout: Layout, estimates: Estimates) -> tuple[RandomEffect, ...]:
    if not layout.terms:
        return ()
    random, q, interior = estimates.random_effects(layout), len(layout.terms), not estimates.singular
    block = np.repeat(np.arange(len(layout.blocks)), layout.blocks)
    of_correlation = random.correlation_errors.tolist()
    return (
        RandomEffect(
            layout.group,
            layout.terms,
            tuple(random.sd.tolist()),
            tuple(random.errors.tolist()) if interior else (None,) * q,
            tuple(map(tuple, random.correlation.tolist())),
            tuple(
                tuple(of_correlation[a][b] if interior and a != b and block[a] == block[b] else None for b in range(q))
                for a in range(q)
            ),
        ),
    )


def _ratio(effect: FixedEffect) -> Ratio:
    with np.errstate(over="ignore"):
        values = np.exp([effect.estimate, effect.ci_lower, effect.ci_upper])
    return Ratio(effect.name, *(value if np.isfinite(value) else None for value in values.tolist()))


def _warnings(start: Start, estimates: Estimates, layout: Layout, penalty: float) -> tuple[str, ...]:
    stand_ins = {stand_in.reference: stand_in for stand_in in start.stand_ins}
    warnings = [
        f"no row of the pooled data has {level}"
        + (f", the reference level; {stand_ins[level].level} takes its place" if level in stand_ins else "")
        for level, count in zip(layout.levels, start.description.level_counts.tolist(), strict=True)
        if round(count) == 0
    ]
    explained = {layout.columns[i] for stand_in in start.stand_ins for i in stand_in.columns}
    if dropped := [name for name in start.dropped_columns if name not in explained]:
        warnings.append(
            "fixed-effect model matrix is rank deficient: dropped "
            + ", ".join(dropped)
            + ", which the columns before determine, or which hardly varies within its declared range"
        )
    if estimates.singular:
        several = ", or a correlation as 1 or -1" if max(layout.blocks) > 1 else ""
        which = "the variance" if len(layout.terms) == 1 else "a variance"
        warnings.append(f"boundary (singular) fit: {which} of {layout.group} is estimated as zero{several}")
    if penalty:
        warnings.append(
            f"penalised fit: standard errors belong to the penalised likelihood (penalty {penalty:g} on standardised "
            "coefficients), and AIC and BIC count effective parameters"
        )
    return tuple(warnings)
