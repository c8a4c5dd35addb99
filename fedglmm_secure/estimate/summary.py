"""A fit as text, laid out as by R's ``summary`` of a glmer model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedglmm_secure.estimate.result import FitResult

METHODS = {"laplace": "Laplace Approximation", "agh": "Adaptive Gauss-Hermite Quadrature, nAGQ = {nodes}"}
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))


def summary(fit: FitResult) -> str:
    """Criteria, random effects, fixed effects, odds ratios and how the sums were protected."""
    method = METHODS[fit.model.method].format(nodes=fit.model.nodes)
    groups = "; ".join(f"{name}, {count}" for name, count in fit.n_groups.items())
    dropped = f" ({fit.n_rows_dropped} incomplete rows left out)" if fit.n_rows_dropped else ""
    parts = [
        f"{fit.study.title or fit.study.id}",
        f"Generalized linear mixed model fit by maximum likelihood ({method})\n"
        f" Family: {fit.model.family} (logit)\n"
        f"Formula: {fit.model.formula}",
        _table(
            ("AIC", "BIC", "logLik", "-2*log(L)", "df.resid"),
            [
                (
                    f"{fit.aic:.2f}",
                    f"{fit.bic:.2f}",
                    f"{fit.log_likelihood:.5f}",
                    f"{-2 * fit.log_likelihood:.2f}",
                    str(fit.n_rows - fit.n_parameters),
                )
            ],
            left=0,
        ),
        "Random effects:\n" + _random(fit) + f"\nNumber of obs: {fit.n_rows}{dropped}, groups: {groups}",
        "Fixed effects:\n" + _fixed(fit) + "\n---\nSignif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1",
    ]
    if fit.odds_ratios:
        parts.append("Odds ratios:\n" + _ratios(fit))
    security = fit.security
    protected = {"masking": "pairwise-masked", "plain": "UNPROTECTED", "pooled": "pooled"}.get(
        security.protocol, security.protocol
    )
    parts.append(f"{fit.n_sites} sites, {security.sums} sums ({protected}), gradient {fit.gradient_norm:.1e}")
    parts.extend(f"Warning: {warning}" for warning in fit.warnings)
    return "\n\n".join(parts)


def _random(fit: FitResult) -> str:
    rows = [
        (effect.group if i == 0 else "", term, f"{sd * sd:.5f}", f"{sd:.5f}")
        for effect in fit.random_effects
        for i, (term, sd) in enumerate(zip(effect.terms, effect.std_dev, strict=True))
    ]
    return _table(("Groups", "Name", "Variance", "Std.Dev."), rows, left=2)


def _fixed(fit: FitResult) -> str:
    rows = [
        (
            e.name,
            f"{e.estimate:.5f}",
            f"{e.std_error:.5f}",
            f"{e.z:.3f}",
            _p_value(e.p_value),
            _stars(e.p_value),
        )
        for e in fit.fixed_effects
    ]
    return _table(("", "Estimate", "Std. Error", "z value", "Pr(>|z|)", ""), rows)


def _ratios(fit: FitResult) -> str:
    rows = [(r.name, f"{r.odds_ratio:.4f}", f"{r.ci_lower:.4f}", f"{r.ci_upper:.4f}") for r in fit.odds_ratios]
    return _table(("", "OR", "2.5 %", "97.5 %"), rows)


def _p_value(p: float) -> str:
    if p < 2e-16:
        return "<2e-16"
    return f"{p:.5f}" if p >= 1e-3 else f"{p:.2e}"


def _stars(p: float) -> str:
    return next((stars for limit, stars in STARS if p < limit), "")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Columns as wide as their content; the first ``left`` ones flush left, the rest right."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        " ".join(
            cell.ljust(width) if i < left or cell in {s for _, s in STARS} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
