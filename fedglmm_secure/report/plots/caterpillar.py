"""The caterpillar plot: the conditional modes of a site's own groups."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedglmm_secure.report.numbers import amount, number, short
from fedglmm_secure.report.plots.canvas import BLUE, GREY, INK, Plot, plotted, rows_axis
from fedglmm_secure.report.plots.scale import within
from fedglmm_secure.report.reading import GroupModes, SiteReport

NORMAL_95 = 1.959964
LABELLED = 60
"""Groups whose names can be read beside their intervals."""
TICKS = 8
"""Steps of the axes together: the labels of small modes, such as -0.003, are long."""
DRAWN = 2000
"""Groups beyond which the marks are drawn as pixels: as shapes they would make a page of many megabytes."""


def caterpillar(report: SiteReport) -> Plot | None:
    """A panel a term, the groups in the order of the first term's modes; None when there are none."""
    if not report.terms:
        return None
    first = report.terms[0]
    groups = sorted(report.groups, key=lambda group: -group.mode[first])
    labelled = len(groups) <= LABELLED

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(report.terms), sharey=True, squeeze=False)[0]
        if labelled:
            rows_axis(panels[0], [short(group.group, 24) for group in groups])
        else:
            panels[0].set_ylim(len(groups), -1)
            panels[0].set_yticks([])
            panels[0].set_ylabel(f"{amount(len(groups), 'group')}, largest first")
        for axes, term in zip(panels, report.terms, strict=True):
            _panel(axes, groups, term, TICKS // len(panels))

    ends = [groups[0], groups[-1]]
    alt = (
        f"Caterpillar plot of {amount(len(groups), 'group')}. {first}: from "
        + " to ".join(f"{number(group.mode[first], 3)} ({group.group})" for group in reversed(ends))
        + "."
    )
    caption = (
        "Each group's conditional mode, its difference from the average group on the scale of the linear predictor, "
        "with 1.96 standard deviations either way, given the estimates."
    )
    return plotted(draw, 0.8 + (0.19 * len(groups) if labelled else 8.0), alt, caption)


def _panel(axes: Axes, groups: list[GroupModes], term: str, steps: int) -> None:
    modes = [within(group.mode[term]) for group in groups]
    reach = [NORMAL_95 * within(group.std_dev[term]) for group in groups]
    rows, pixels = range(len(groups)), len(groups) > DRAWN
    axes.axvline(0.0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.hlines(
        rows,
        [mode - r for mode, r in zip(modes, reach, strict=True)],
        [mode + r for mode, r in zip(modes, reach, strict=True)],
        color=INK,
        linewidth=1.1 if len(groups) <= LABELLED else 0.5,
        rasterized=pixels,
    )
    size = 4.5 if len(groups) <= LABELLED else 2
    axes.plot(modes, rows, marker="o", markersize=size, color=BLUE, linestyle="none", rasterized=pixels)
    axes.set_title(short(term, 30))
    axes.xaxis.set_major_locator(MaxNLocator(steps, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
