"""How the search converged: what each sum left to be gained."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from fedglmm_secure.estimate import FitResult
from fedglmm_secure.report.numbers import amount
from fedglmm_secure.report.plots.canvas import BLUE, INK, Plot, plotted

FLOOR = 1e-16
"""Below it there is rounding only: drawn at this height."""

Points = list[tuple[int, float]]


def convergence(fit: FitResult) -> Plot | None:
    """Decrement and, for a single fit, distance of the log-likelihood from the last; None when there is neither."""
    decrements = _points((row.sum, row.decrement) for row in fit.trace)
    gaps = [] if fit.path or fit.model.penalty else _gaps(fit)
    if not decrements and not gaps:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        if gaps:
            axes.plot(*zip(*gaps, strict=True), color=INK, marker="o", markersize=5, linewidth=1, label=GAP)
        if decrements:
            axes.plot(
                *zip(*decrements, strict=True),
                color=BLUE,
                marker="s",
                markersize=5,
                markerfacecolor="white",
                linewidth=1,
                linestyle=(0, (4, 2)),
                label=DECREMENT,
            )
        axes.set_yscale("log")
        axes.set_ylim(FLOOR / 4.0, 10.0 * max(FLOOR, *(value for _, value in gaps + decrements)))
        axes.yaxis.set_major_locator(LogLocator(numticks=7))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}" if value < 0.01 else f"{value:g}")
        axes.yaxis.set_minor_locator(LogLocator(subs=()))
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("Sum")
        figure.legend(loc="outside upper left", ncols=2)

    last = decrements[-1] if decrements else gaps[-1]
    alt = (
        f"Convergence over {amount(len(fit.trace), 'sum')}, logarithmic axis: the Newton decrement at each sum was "
        + ", ".join(f"{value:.0e}" for _, value in decrements)
        + "."
        if decrements
        else f"Convergence over {amount(len(fit.trace), 'sum')}: the last distance was {last[1]:.0e}."
    )
    caption = "What was left to be gained after each sum; values below 1e-16 are drawn there."
    if fit.path:
        caption += " Each penalty of the path starts where the one before ended, so the line rises with each."
    return plotted(draw, 2.3, alt, caption)


GAP = "Log-likelihood's distance from the last"
DECREMENT = "Newton decrement"


def _gaps(fit: FitResult) -> Points:
    values = [(row.sum, row.log_likelihood) for row in fit.trace]
    finite = [value for _, value in values if value is not None and math.isfinite(value)]
    return _points((i, None if value is None else abs(value - finite[-1])) for i, value in values) if finite else []


def _points(rows: Sequence[tuple[int, float | None]] | object) -> Points:
    return [(i, max(value, FLOOR)) for i, value in rows if value is not None and math.isfinite(value)]  # type: ignore[attr-defined]
