"""Numbers and names as a reader wants to see them. Every float has a text, NaN and infinities too."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence

NONE = "–"
"""Stands where there is no number."""

SMALLEST_P = 2e-16
"""R's summary prints no smaller p-value."""


def plain(text: str) -> str:
    """The text without control characters, and without the invisible ones that turn the order of reading around."""
    return "".join(c if c.isprintable() else " " if c.isspace() else _instead(c) for c in text)


def short(text: str, length: int = 34) -> str:
    """The text, or its two ends, for a label in a plot."""
    if len(text) <= length:
        return text
    tail = length // 2
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def number(value: float | None, digits: int = 5) -> str:
    """With ``digits`` decimals, or fewer for eight figures; in powers of ten where those say nothing."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return _signed("∞" if value > 0 else "-∞")
    if value != 0.0 and not 0.5 * 10.0**-digits <= abs(value) < 1e7:
        return _signed(f"{value:.3e}")
    before = len(str(int(abs(value)))) if abs(value) >= 1.0 else 0
    return _signed(f"{value:.{min(digits, 8 - before) if before else digits}f}")


def decimals(values: Iterable[float | None], least: int = 5) -> int:
    """Decimals for a column, such that its smallest entry other than 0 shows three figures: ``least`` to 9."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0.0]
    return min(max(least, 2 - math.floor(math.log10(min(sizes)))), 9) if sizes else least


def column(values: Sequence[float | None], least: int = 5) -> list[str]:
    """A column of numbers with the same decimals."""
    digits = decimals(values, least)
    return [number(value, digits) for value in values]


def ratio(value: float | None) -> str:
    """An odds or rate ratio, None being one too large for a float: three decimals, fewer where it is large."""
    if value is None or value == math.inf:
        return "∞"
    if math.isnan(value):
        return NONE
    if not (1e-3 <= value < 1e4):
        return "0" if value == 0.0 else _signed(f"{value:.2e}")
    return f"{value:.{3 if value < 10 else 2 if value < 100 else 1}f}"


def p_value(p: float) -> str:
    """As R's summary: <2e-16, 1.23e-05, 0.000123, 0.01234."""
    if math.isnan(p):
        return NONE
    if p < SMALLEST_P:
        return "<2e-16"
    return f"{p:.5f}" if p >= 1e-3 else f"{p:.6f}" if p >= 1e-4 else _signed(f"{p:.2e}")


def count(value: int) -> str:
    """A whole number with thin spaces between thousands, which no language takes for a decimal point."""
    return _signed(f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"))


def amount(value: int, one: str) -> str:
    """``1 site``, ``4 sites``."""
    return f"{count(value)} {one if value == 1 else one + 's'}"


def interval(lower: str, upper: str) -> str:
    """Two ends in words: a dash would look like a sign."""
    return NONE if NONE in (lower, upper) else f"{lower} to {upper}"


def power(exponent: int) -> str:
    """A tick of a logarithmic axis: 0.1, 1, 10, but 10⁻³ and 10⁶."""
    if -2 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _instead(character: str) -> str:
    return "" if unicodedata.category(character) == "Cf" else "\N{REPLACEMENT CHARACTER}"


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
