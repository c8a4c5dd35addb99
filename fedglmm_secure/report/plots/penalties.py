"""The path of penalties: the criterion of the choice, and how the coefficients shrink."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedglmm_secure.estimate import FitResult
from fedglmm_secure.estimate.result import PathPoint
from fedglmm_secure.report.numbers import amount, short
from fedglmm_secure.report.plots.canvas import BLUE, GREY, INK, Plot, plotted
from fedglmm_secure.report.plots.scale import within

CRITERIA = {"aic": "AIC", "bic": "BIC", "validation": "Held-out log-likelihood"}
MARKERS = "osD^vP<X>phd"
STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)))
MOST = len(MARKERS)
"""Coefficients that can be told apart in one plot."""


def penalties(fit: FitResult) -> Plot | None:
    """Two panels over the penalties, in rising order and evenly spaced, as 0 may be one of them; None without fits."""
    points = sorted((point for point in fit.path if point.error is None), key=lambda point: point.penalty)
    if not points:
        return None
    criterion = CRITERIA.get(fit.selection or "", "AIC")
    names = _names(fit)

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        _criterion(left, points, [_score(point, fit.selection) for point in points], criterion, fit.model.penalty)
        _shrinkage(right, points, names)
        for axes in (left, right):
            _penalty_axis(axes, points)

    score = ", ".join(f"{point.penalty:g}: {_score(point, fit.selection):.2f}" for point in points)
    alt = (
        f"Left, {criterion} by penalty: {score}; chosen {fit.model.penalty:g}. "
        f"Right, the course of {amount(len(names), 'coefficient')}."
    )
    left_out = f" The {MOST} coefficients with the largest z values are shown." if _left_out(fit) else ""
    caption = (
        f"Left: {criterion} by penalty, the chosen one filled. Right: each estimate relative to its largest size "
        f"along the path.{left_out}"
    )
    return plotted(draw, 3.0 + 0.12 * max(len(names) - 6, 0), alt, caption)


def _score(point: PathPoint, selection: str | None) -> float:
    value = {"bic": point.bic, "validation": point.validation_log_likelihood}.get(selection or "", point.aic)
    return within(value)


def _names(fit: FitResult) -> list[str]:
    """Coefficients but the intercept, which no penalty shrinks; those of the largest z when there are too many."""
    effects = [effect for effect in fit.fixed_effects if effect.name != "Intercept"]
    kept = sorted(effects, key=lambda effect: -abs(effect.z))[:MOST]
    return [effect.name for effect in effects if effect in kept]


def _left_out(fit: FitResult) -> bool:
    return sum(effect.name != "Intercept" for effect in fit.fixed_effects) > MOST


def _criterion(axes: Axes, points: list[PathPoint], scores: list[float], name: str, chosen: float) -> None:
    axes.plot(scores, color=INK, linewidth=1, marker="o", markersize=5, markerfacecolor="white")
    for i, (point, score) in enumerate(zip(points, scores, strict=True)):
        if point.penalty == chosen:
            axes.plot([i], [score], marker="o", markersize=8, color=BLUE, linestyle="none")
            sideways = "left" if i == 0 else "right" if i == len(points) - 1 else "center"
            # outside of the curve: the best score is its highest, or its lowest, point
            side = 1 if score == max(scores) else -1
            axes.annotate(
                "chosen",
                (i, score),
                xytext=(0, 9 * side),
                textcoords="offset points",
                ha=sideways,
                va="bottom" if side > 0 else "top",
                weight="bold",
            )
    axes.margins(x=0.1, y=0.2)
    axes.set_title(name)
    axes.ticklabel_format(axis="y", useOffset=False)


def _shrinkage(axes: Axes, points: list[PathPoint], names: list[str]) -> None:
    for i, name in enumerate(names):
        values = [within((point.estimates or {}).get(name)) for point in points]
        largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0) or 1.0
        axes.plot(
            [value / largest for value in values],
            color=(INK, BLUE, GREY)[i % 3],
            linewidth=1,
            linestyle=STYLES[i % 3],
            marker=MARKERS[i % MOST],
            markersize=4,
            label=short(name, 24),
        )
    axes.axhline(0.0, color=GREY, linewidth=0.7)
    axes.set_title("Estimate, relative to its largest size")
    if names:
        axes.figure.legend(loc="outside lower center", ncols=3)


def _penalty_axis(axes: Axes, points: list[PathPoint]) -> None:
    step = -(-len(points) // 10)
    shown = range(0, len(points), step)
    axes.set_xticks(shown, [f"{points[i].penalty:g}" for i in shown])
    axes.set_xlabel("Penalty")
