"""Numbers and names as a reader wants to see them. Every float has a text, NaN and infinities too."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from fedglmm_secure.estimate import digits as digits_of
from fedglmm_secure.estimate.digits import decimals

NONE = "–"
"""Stands where there is no number."""


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
    return _signed(digits_of.number(value, digits).replace("Inf", "∞"))


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


def p_values(values: Sequence[float]) -> list[str]:
    """A column of p-values as in R's summary."""
    return [NONE if text == "NaN" else _signed(text) for text in digits_of.p_values(values)]


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
