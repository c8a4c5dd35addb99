"""The forest plot: each fixed effect with its interval, as a ratio on a logarithmic axis where the link allows it."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedglmm_secure.estimate import FitResult
from fedglmm_secure.estimate.result import FixedEffect
from fedglmm_secure.report.numbers import column, ratio, short
from fedglmm_secure.report.plots.canvas import BLUE, GREY, INK, Plot, plotted, rows_axis
from fedglmm_secure.report.plots.scale import DRAWN, LARGEST, ratio_label, ratio_ticks, shared_range, within
from fedglmm_secure.report.words import RATIO


def forest(fit: FitResult) -> Plot | None:
    """All effects but the intercept, which is no comparison; None when there is no other."""
    effects = [effect for effect in fit.fixed_effects if effect.name != "Intercept"]
    if not effects:
        return None
    name = RATIO.get(fit.model.family)
    texts = _texts(effects, as_ratios=name is not None)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _draw(axes, effects, texts, name)

    scale = f"{name}, logarithmic axis" if name else "Difference in the outcome"
    alt = f"Forest plot ({scale}). " + "; ".join(
        f"{effect.name}: {text}" for effect, text in zip(effects, texts, strict=True)
    )
    caption = (
        f"{name or 'Estimate'} with 95% interval (an arrow: it goes on), for one unit more or for a level against the "
        "reference."
    )
    return plotted(draw, 0.75 + 0.27 * len(effects), alt, caption)


def _texts(effects: list[FixedEffect], *, as_ratios: bool) -> list[str]:
    numbers = [value for effect in effects for value in (effect.estimate, effect.ci_lower, effect.ci_upper)]
    cells = [ratio(_exp(value)) for value in numbers] if as_ratios else column(numbers, 3)
    return [f"{cells[i]} ({cells[i + 1]} to {cells[i + 2]})" for i in range(0, len(cells), 3)]


def _exp(value: float) -> float:
    return math.inf if value > LARGEST else math.exp(value)


def _draw(axes: Axes, effects: list[FixedEffect], texts: list[str], name: str | None) -> None:
    bound = LARGEST if name else DRAWN
    kept = [[within(value, bound) for value in (e.estimate, e.ci_lower, e.ci_upper)] for e in effects]
    low, high = shared_range([(first, last) for _, first, last in kept], math.log(1000.0) if name else math.inf)
    rows_axis(axes, [short(effect.name) for effect in effects])
    axes.axvline(0.0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    for row, ((x, first, last), text) in enumerate(zip(kept, texts, strict=True)):
        _interval(axes, row, max(first, low), min(last, high), (first < low, last > high))
        if low <= x <= high:
            axes.plot([x], [row], marker="s", markersize=5.5, color=BLUE, linestyle="none")
        axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center")
    axes.text(1.02, -0.75, f"{name or 'Estimate'} (95% interval)", transform=axes.get_yaxis_transform(), weight="bold")
    axes.set_xlim(low, high)
    if name:
        ticks = ratio_ticks(low, high)
        axes.set_xticks([math.log(tick) for tick in ticks], [ratio_label(tick) for tick in ticks])
    axes.set_xlabel(f"{name} (logarithmic axis)" if name else "Difference in the outcome")


def _interval(axes: Axes, row: int, first: float, last: float, cut: tuple[bool, bool]) -> None:
    axes.plot([first, last], [row, row], color=INK, linewidth=1.3, solid_capstyle="butt")
    for end, beyond, arrow in ((first, cut[0], "<"), (last, cut[1], ">")):
        axes.plot([end], [row], marker=arrow if beyond else "|", markersize=5, color=INK, linestyle="none")
