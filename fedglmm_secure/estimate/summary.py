"""A fit as text, laid out as by R's ``summary`` of a glmer model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fedglmm_secure.estimate.digits import decimals, number, p_values

if TYPE_CHECKING:
    from fedglmm_secure.estimate.result import FitResult

LINKS = {"binomial": "logit", "poisson": "log", "gaussian": "identity"}
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))
RATIOS = {"binomial": ("Odds ratios", "OR"), "poisson": ("Rate ratios", "RR")}
PROTECTION = {"masking": "pairwise-masked", "paillier": "threshold Paillier", "plain": "UNPROTECTED"}


def summary(fit: FitResult) -> str:
    """Criteria, random effects, fixed effects, ratios, the path of penalties and how the sums were protected."""
    parts = [
        fit.study.title or fit.study.id,
        f"{_kind(fit)}\n Family: {fit.model.family} ({LINKS[fit.model.family]})\nFormula: {fit.model.formula}",
    ]
    if fit.log_likelihood is not None:
        parts.append(_criteria(fit, fit.log_likelihood))
    parts.append(_random(fit))
    stars = "Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"
    parts.append(f"Fixed effects:\n{_fixed(fit)}\n---\n{stars}")
    if fit.ratios:
        title, _ = RATIOS[fit.model.family]
        parts.append(f"{title}:\n{_ratios(fit)}")
    if fit.path:
        parts.append(f"Penalties (chosen by {fit.selection}):\n{_path(fit)}")
    parts.append(f"{_course(fit)}, gradient {fit.gradient_norm:.1e}")
    parts.extend(f"Warning: {warning}" for warning in fit.warnings)
    return "\n\n".join(parts)


def _course(fit: FitResult) -> str:
    """How many sums it took, over how many sites and how protected."""
    protocol, sums = fit.security.protocol, fit.security.sums
    if protocol == "pooled":
        return f"one pooled table, {sums} evaluations"
    return f"{fit.n_sites} sites, {sums} sums ({PROTECTION.get(protocol, protocol)})"


def _kind(fit: FitResult) -> str:
    method = fit.model.method
    penalised = f", penalty {fit.model.penalty:g}" if fit.model.penalty else ""
    if method == "glm":
        return f"Generalized linear model fit by maximum likelihood{penalised}"
    if method == "pql":
        return "Generalized linear mixed model fit by penalised quasi-likelihood"
    if fit.model.family == "gaussian":
        return f"Linear mixed model fit by maximum likelihood{penalised}"
    how = (
        "Laplace Approximation"
        if method == "laplace"
        else f"Adaptive Gauss-Hermite Quadrature, nAGQ = {fit.model.nodes}"
    )
    return f"Generalized linear mixed model fit by maximum likelihood ({how}){penalised}"


def _criteria(fit: FitResult, log_likelihood: float) -> str:
    numbers = (fit.aic, fit.bic, log_likelihood, -2 * log_likelihood)
    row = [f"{number:.{digits}f}" for number, digits in zip(numbers, (2, 2, 5, 2), strict=True)]
    header = ("AIC", "BIC", "logLik", "-2*log(L)", "df.resid")
    return _table(header, [(*row, str(fit.n_rows - fit.n_parameters))], left=0)


def _random(fit: FitResult) -> str:
    """The random effects with the residual, if there are any, and the numbers of rows and groups."""
    left_out = fit.n_rows_dropped
    dropped = f" ({left_out} incomplete {'row' if left_out == 1 else 'rows'} left out)" if left_out else ""
    groups = "".join(f", groups: {name}, {count}" for name, count in fit.n_groups.items())
    counts = f"Number of obs: {fit.n_rows}{dropped}{groups}"
    if fit.random_effects:
        return f"Random effects:\n{_spreads(fit)}\n{counts}"
    phi = fit.residual_std_dev
    return counts if phi is None else f"Residual standard error: {number(phi)}\n{counts}"


def _spreads(fit: FitResult) -> str:
    """Variances, standard deviations and correlations; a column of standard errors only where there is one."""
    rows = [
        (
            effect.group if i == 0 else "",
            term,
            *_spread(effect.std_dev[i], effect.std_error[i]),
            *map(_correlation, effect.correlation[i][:i], effect.correlation_std_error[i][:i]),
        )
        for effect in fit.random_effects
        for i, term in enumerate(effect.terms)
    ]
    if fit.residual_std_dev is not None:
        rows.append(("Residual", "", *_spread(fit.residual_std_dev, fit.residual_std_error)))
    width = max(map(len, rows))
    filled = [(*row, *[""] * (width - len(row))) for row in rows]
    with_errors = any("(" in cell for row in filled for cell in row[5:])
    names = ("Groups", "Name", "Variance", "Std.Dev.", "Std. Error", "Corr (Std. Error)" if with_errors else "Corr")
    header = (*names, *[""] * width)[:width]
    shown = [column for column in range(width) if column != 4 or any(row[4] for row in filled)]
    return _table([header[i] for i in shown], [[row[i] for i in shown] for row in filled], left=2)


def _spread(sd: float, error: float | None) -> tuple[str, str, str]:
    """Variance, standard deviation, and the latter's standard error."""
    return number(sd * sd), number(sd), "" if error is None else number(error)


def _correlation(r: float, error: float | None) -> str:
    return f"{r:.3f}" if error is None else f"{r:.3f} ({error:.3f})"


def _fixed(fit: FitResult) -> str:
    effects = fit.fixed_effects
    digits = decimals([e.std_error for e in effects])
    rows = [
        (e.name, number(e.estimate, digits), number(e.std_error, digits), f"{e.z:.3f}", p, _stars(e.p_value))
        for e, p in zip(effects, p_values([e.p_value for e in effects]), strict=True)
    ]
    letter = "t" if fit.model.method == "glm" and fit.model.family == "gaussian" else "z"
    return _table(("", "Estimate", "Std. Error", f"{letter} value", f"Pr(>|{letter}|)", ""), rows)


def _ratios(fit: FitResult) -> str:
    rows = [
        (r.name, *("Inf" if value is None else f"{value:.4f}" for value in (r.ratio, r.ci_lower, r.ci_upper)))
        for r in fit.ratios
    ]
    return _table(("", RATIOS[fit.model.family][1], "2.5 %", "97.5 %"), rows)


def _path(fit: FitResult) -> str:
    """Each penalty's fit; the chosen one is marked, and a column is left out when no fit has it."""
    columns = [
        ("logLik", [point.log_likelihood for point in fit.path], 4),
        ("eff. df", [point.effective_parameters for point in fit.path], 2),
        ("AIC", [point.aic for point in fit.path], 2),
        ("BIC", [point.bic for point in fit.path], 2),
        ("validation", [point.validation_log_likelihood for point in fit.path], 4),
    ]
    shown = [column for column in columns if any(value is not None for value in column[1])]
    marks = ["<-" if p.penalty == fit.model.penalty else "no fit" if p.error else "" for p in fit.path]
    rows = [
        (
            f"{point.penalty:g}",
            *("" if values[i] is None else f"{values[i]:.{digits}f}" for _, values, digits in shown),
            marks[i],
        )
        for i, point in enumerate(fit.path)
    ]
    return _table(("penalty", *(name for name, _, _ in shown), ""), rows, left=0)


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
