"""The range and the ticks of an axis on which intervals lie, whatever their numbers are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

LARGEST = 700.0
"""exp of anything larger is no float."""

Range = tuple[float, float]


def shared_range(estimates: Sequence[float], intervals: Sequence[Range], origin: float = 0.0) -> Range:
    """A range with the origin, all estimates, and the intervals as far as they are of the others' kind.

    An interval that is far wider than the others (a rare level, a separated one) would squeeze them into a line: the
    range ends four times the median half-width beyond the outermost estimate. What is not finite has no say.
    """
    points = [x for x in (origin, *estimates) if math.isfinite(x)]
    finite = [(low, high) for low, high in intervals if math.isfinite(low) and math.isfinite(high)]
    reach = 4.0 * float(np.median([(high - low) / 2.0 for low, high in finite])) if finite else 0.0
    first, last = min(points) - reach, max(points) + reach
    low = max(min((low for low, _ in finite), default=first), first)
    high = min(max((high for _, high in finite), default=last), last)
    low, high = min(low, *points), max(high, *points)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def ratio_ticks(low: float, high: float) -> list[float]:
    """Round ratios between exp(low) and exp(high), about three to eight."""
    decades = range(math.floor(low / math.log(10.0)), math.ceil(high / math.log(10.0)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        inside = [tick for tick in ticks if low <= math.log(tick) <= high]
        if 4 <= len(inside) <= 8:
            return inside
    if high - low < 3.0:
        return [float(tick) for tick in MaxNLocator(5).tick_values(math.exp(low), math.exp(high)) if _inside(tick, low, high)]
    return inside[:: -(-len(inside) // 6)]


def _inside(tick: float, low: float, high: float) -> bool:
    return tick > 0.0 and low <= math.log(tick) <= high
