"""How the search converged: what each sum left to be gained."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedglmm_secure.estimate import FitResult
from fedglmm_secure.report.numbers import amount, power
from fedglmm_secure.report.plots.canvas import BLUE, INK, Plot, plotted

FLOOR = -16
"""Decimal logarithm below which there is rounding only: smaller values are drawn here."""

Points = list[tuple[int, float]]
"""A sum's number and the decimal logarithm of what it left."""


def convergence(fit: FitResult) -> Plot | None:
    """Decrement and, for a single fit, distance of the log-likelihood from the last; None without a course of them."""
    decrements = _points((row.sum, row.decrement) for row in fit.trace)
    gaps = [] if fit.path or fit.model.penalty else _gaps(fit)
    if max(len(decrements), len(gaps)) < 2:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _draw(axes, gaps, decrements)
        figure.legend(loc="outside upper left", ncols=2)

    shown = decrements or gaps
    alt = f"{amount(len(fit.trace), 'sum')}; {'Newton decrement' if decrements else 'distance'}, logarithmic axis: " + (
        ", ".join(f"{10.0**value:.0e}" for _, value in shown)
    )
    caption = "What was left to be gained at each sum; values below 1e-16 are drawn there."
    if fit.path:
        caption += " Each penalty of the path starts where the one before ended, so the line rises with each."
    return plotted(draw, 2.3, alt, caption)


def _draw(axes: Axes, gaps: Points, decrements: Points) -> None:
    line: dict[str, Any] = {"linewidth": 1.0, "markersize": 5.0}
    if gaps:
        axes.plot(
            *zip(*gaps, strict=True), color=INK, marker="o", label="Log-likelihood's distance from the last", **line
        )
    if decrements:
        look: dict[str, Any] = {"marker": "s", "markerfacecolor": "white", "linestyle": (0, (4, 2))}
        axes.plot(*zip(*decrements, strict=True), color=BLUE, label="Newton decrement", **look, **line)
    top = math.ceil(max(0.0, *(value for _, value in gaps + decrements)))
    step = 3 * (1 + (top - FLOOR) // 24)
    ticks = range(-15, top + 1, step)
    axes.set_ylim(FLOOR - 0.6, top + 0.6)
    axes.set_yticks(ticks, [power(exponent) for exponent in ticks])
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("Sum")


def _gaps(fit: FitResult) -> Points:
    values = [(row.sum, row.log_likelihood) for row in fit.trace]
    finite = [value for _, value in values if value is not None and math.isfinite(value)]
    return _points((i, None if value is None else abs(value - finite[-1])) for i, value in values) if finite else []


def _points(rows: Iterable[tuple[int, float | None]]) -> Points:
    finite = ((i, value) for i, value in rows if value is not None and math.isfinite(value))
    return [(i, max(math.log10(value), FLOOR) if value > 0.0 else FLOOR) for i, value in finite]
