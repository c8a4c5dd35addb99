"""The tables of a page, each cell a text."""

from __future__ import annotations

from dataclasses import dataclass

from fedglmm_secure.estimate import FitResult
from fedglmm_secure.estimate.digits import decimals
from fedglmm_secure.estimate.result import PathPoint, RandomEffect
from fedglmm_secure.report.numbers import column, count, interval, number, p_values, ratio
from fedglmm_secure.report.reading import SiteReport
from fedglmm_secure.report.words import RATIO

Cells = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A caption, a header and rows; the first column names its row."""

    caption: str
    header: Cells
    rows: tuple[Cells, ...]
    marked: frozenset[int] = frozenset()
    """Rows that stand out."""


def fixed_effects(fit: FitResult) -> Table:
    """As R's summary, with 95% intervals, and odds or rate ratios where the link gives them."""
    effects = fit.fixed_effects
    digits = decimals([e.std_error for e in effects])
    estimates, errors, lower, upper = (
        [number(value, digits) for value in values]
        for values in (
            [e.estimate for e in effects],
            [e.std_error for e in effects],
            [e.ci_lower for e in effects],
            [e.ci_upper for e in effects],
        )
    )
    ratios = {r.name: (ratio(r.ratio), interval(ratio(r.ci_lower), ratio(r.ci_upper))) for r in fit.ratios}
    letter = statistic(fit)
    header: Cells = ("Term", "Estimate", "Std. error", f"{letter} value", f"Pr(>|{letter}|)", "95% interval")
    if ratios:
        header += (RATIO.get(fit.model.family, "Ratio"), "95% interval")
    p = p_values([e.p_value for e in effects])
    rows = tuple(
        (e.name, estimates[i], errors[i], number(e.z, 3), p[i], interval(lower[i], upper[i]))
        + (ratios.get(e.name, ("", "")) if ratios else ())
        for i, e in enumerate(effects)
    )
    return Table("Fixed effects", header, rows)


def statistic(fit: FitResult) -> str:
    """Student's t for a linear regression without random effects, the normal's z for all else."""
    return "t" if fit.model.method == "glm" and fit.model.family == "gaussian" else "z"


def random_effects(fit: FitResult) -> Table | None:
    """Standard deviations of the random terms, with standard errors, and of the residual."""
    rows = [
        (f"{term} by {effect.group}", sd, error)
        for effect in fit.random_effects
        for term, sd, error in zip(effect.terms, effect.std_dev, effect.std_error, strict=True)
    ]
    if not rows:
        return None
    if fit.residual_std_dev is not None:
        rows.append(("Residual", fit.residual_std_dev, fit.residual_std_error))
    cells = tuple((term, number(sd * sd), number(sd), number(error)) for term, sd, error in rows)
    return Table("Random effects", ("Term", "Variance", "Std. deviation", "Std. error of the SD"), cells)


def correlations(effect: RandomEffect) -> Table | None:
    """The lower triangle of the terms' correlations, with their standard errors; None for a single term."""
    if len(effect.terms) < 2:
        return None
    rows = []
    for i, term in enumerate(effect.terms):
        pairs = zip(effect.correlation[i][:i], effect.correlation_std_error[i][:i], strict=True)
        cells = [number(r, 3) + ("" if error is None else f" ({number(error, 3)})") for r, error in pairs]
        rows.append((term, *cells, "1", *[""] * (len(effect.terms) - i - 1)))
    caption = f"Correlations of the random effects by {effect.group}"
    if any(error is not None for row in effect.correlation_std_error for error in row):
        caption += ", and their standard errors"
    return Table(caption, ("Term", *effect.terms), tuple(rows))


def path(fit: FitResult) -> Table:
    """One row a penalty; a column is left out when no fit has it."""
    points = fit.path
    columns: list[tuple[str, list[float | None], int]] = [
        ("Log-likelihood", [point.log_likelihood for point in points], 4),
        ("Effective parameters", [point.effective_parameters for point in points], 2),
        ("AIC", [point.aic for point in points], 2),
        ("BIC", [point.bic for point in points], 2),
        ("Held-out log-likelihood", [point.validation_log_likelihood for point in points], 4),
    ]
    shown = [(name, column(values, digits)) for name, values, digits in columns if any(v is not None for v in values)]
    rows = tuple(
        (f"{point.penalty:g}", *(cells[i] for _, cells in shown), _remark(fit, point)) for i, point in enumerate(points)
    )
    marked = frozenset(i for i, point in enumerate(points) if is_chosen(fit, point))
    return Table("Path of penalties", ("Penalty", *(name for name, _ in shown), "Remark"), rows, marked)


def is_chosen(fit: FitResult, point: PathPoint) -> bool:
    """Whether this penalty's fit is the one reported."""
    return point.penalty == fit.model.penalty and point.error is None


def sums(fit: FitResult) -> Table:
    """Every sum: what was asked, how many numbers came back, and where the search stood."""
    rows = tuple(
        (
            str(row.sum),
            row.question,
            count(row.numbers),
            number(row.log_likelihood, 6),
            ""
            if row.decrement is None
            else number(row.decrement, 2)
            if row.decrement >= 0.1
            else f"{row.decrement:.1e}",
        )
        for row in fit.trace
    )
    header = ("Sum", "Question", "Numbers", "Log-likelihood", "Newton decrement")
    return Table("Every sum of the fit", header, rows)


def modes(report: SiteReport) -> Table:
    """A site's groups, with the conditional mode of each random term and its spread."""
    cells: list[list[str]] = [[group.group for group in report.groups], [count(group.rows) for group in report.groups]]
    for term in report.terms:
        digits = decimals([group.std_dev[term] for group in report.groups], least=4)
        values = [(group.mode[term], group.std_dev[term]) for group in report.groups]
        cells.append([f"{number(mode, digits)} ({number(spread, digits)})" for mode, spread in values])
    return Table(
        "Conditional modes of this site's groups, and their standard deviations given the estimates",
        ("Group", "Rows", *report.terms),
        tuple(zip(*cells, strict=True)),
    )


def _remark(fit: FitResult, point: PathPoint) -> str:
    return "no fit" if point.error else "chosen" if is_chosen(fit, point) else ""
