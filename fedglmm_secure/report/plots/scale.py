"""The range and the ticks of an axis on which intervals lie, whatever their numbers are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from fedglmm_secure.report.numbers import power

LARGEST = 600.0
"""Logarithms beyond it leave no room on an axis: exp of 709.8 is the largest float."""
DRAWN = 1e100
"""Larger numbers overflow when an axis is laid out."""

Range = tuple[float, float]


def shared_range(intervals: Sequence[Range], widest: float = math.inf) -> Range:
    """A range that holds 0 and every interval of at most ``widest`` from its middle to its end.

    A wider one says that its effect is not determined (a level that separates the outcomes): it would squeeze all
    others into a line, so it has a say only when there are no others. Nor has what is not finite.
    """
    finite = [ends for ends in intervals if math.isfinite(ends[0]) and math.isfinite(ends[1])]
    determined = [(low, high) for low, high in finite if (high - low) / 2.0 <= widest] or finite
    low = min((low for low, _ in determined), default=0.0)
    high = max((high for _, high in determined), default=0.0)
    margin = 0.05 * (max(high, 0.0) - min(low, 0.0)) or 1.0
    return min(low, 0.0) - margin, max(high, 0.0) + margin


def ratio_ticks(low: float, high: float) -> list[float]:
    """Round ratios between exp(low) and exp(high), about three to eight."""
    decades = range(math.floor(low / math.log(10.0)), math.ceil(high / math.log(10.0)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        inside = [tick for tick in ticks if low <= math.log(tick) <= high]
        if 4 <= len(inside) <= 8:
            return inside
    if high - low < 3.0:
        return [
            float(tick)
            for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(math.exp(low), math.exp(high))
            if _inside(tick, low, high)
        ]
    return inside[:: -(-len(inside) // 6)]


def ratio_label(tick: float) -> str:
    """The tick as a number; a power of ten from 100000 on and below 0.0001, where ``ratio_ticks`` has no others."""
    return f"{tick:g}" if 0.99e-4 <= tick < 0.99e5 else power(round(math.log10(tick)))


def within(value: float | None, bound: float = DRAWN) -> float:
    """The value, or the end of -bound to bound that it lies beyond; NaN, which is not drawn, for none."""
    return math.nan if value is None or math.isnan(value) else min(max(value, -bound), bound)


def _inside(tick: float, low: float, high: float) -> bool:
    return tick > 0.0 and low <= math.log(tick) <= high
