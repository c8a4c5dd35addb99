"""How many digits numbers are shown with, alone and in a column, as R's ``summary`` does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

SMALLEST_P = 2e-16
"""R's summary prints no smaller p-value."""
_P_FIGURES = 3


def number(value: float, digits: int = 5) -> str:
    """With ``digits`` decimals, or fewer for eight figures; in powers of ten where those say nothing."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Inf" if value > 0.0 else "-Inf"
    if value != 0.0 and not 0.5 * 10.0**-digits <= abs(value) < 1e7:
        return f"{value:.3e}"
    before = len(str(int(abs(value)))) if abs(value) >= 1.0 else 0
    return f"{value:.{min(digits, 8 - before) if before else digits}f}"


def decimals(values: Iterable[float | None], least: int = 5) -> int:
    """Decimals for a column, such that its smallest entry other than 0 shows three figures: ``least`` to 9."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0.0]
    return min(max(least, 2 - math.floor(math.log10(min(sizes)))), 9) if sizes else least


def p_values(values: Sequence[float]) -> list[str]:
    """A column of p-values as R's ``format.pval`` writes it: decimals in common from 0.0001 on, powers of ten below."""
    fixed = max((_decimals_of_p(p) for p in values if 1e-4 <= p <= 1.0), default=_P_FIGURES)
    return [
        "NaN" if not 0.0 <= p <= 1.0 else "<2e-16" if p < SMALLEST_P else f"{p:.{fixed}f}" if p >= 1e-4 else f"{p:.2e}"
        for p in values
    ]


def _decimals_of_p(p: float) -> int:
    """The fewest that show three figures, without the zeros that they may end with."""
    figures, exponent = f"{p:.{_P_FIGURES - 1}e}".split("e")
    return max(0, len(figures.replace(".", "").rstrip("0")) - 1 - int(exponent))
