"""What a variable might be, judged by one site's own column: for a first study file, which its authors then correct.

A study file is shown to every site, so a proposal copies no patient's extreme value, and says nothing of how often a
value occurs: such remarks are notes for the drafting site's eyes only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedglmm_secure.choices import VariableType
from fedglmm_secure.errors import TableError
from fedglmm_secure.study.columns import number_of, read_words
from fedglmm_secure.study.schema import Disclosure
from fedglmm_secure.study.values import is_zero_one

MOST_LEVELS = Disclosure().maximum_levels
FEWEST_FOR_IDENTIFIER = 10
"""Fewer rows than that may well hold different values without being identifiers."""
MOST_CODES = 5
"""More different whole numbers than that are hardly codes of categories."""
RARE = Disclosure().minimum_cell

_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


@dataclass(frozen=True)
class Proposal:
    """A variable's declaration."""

    name: str
    type: VariableType
    levels: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    """Remarks on this site's own column, which must not stand in the study."""


@dataclass(frozen=True)
class _Column:
    """A column as its distinct values: their text, how often each occurs, and the numbers among them."""

    where: str
    words: list[str]
    counts: list[int]

    @property
    def numbers(self) -> list[float]:
        return [number for word in self.words if (number := number_of(word)) is not None]

    @property
    def rows(self) -> int:
        return sum(self.counts)


def propose(name: str, column: pd.Series, where: str, asked: VariableType | None, positive: bool) -> Proposal:
    """A declaration for ``column``; ``asked`` is its type where that is known.

    ``positive``: the formula does arithmetic with it, so a range of positive values must not reach 0. Raises
    TableError, which says what to do, for a column that no declaration fits.
    """
    read = _read(column, where)
    kind = asked or _guess(read)
    if kind == "group":
        return Proposal(name, kind, notes=tuple(_notes_on_groups(read)))
    if kind in ("binary", "categorical"):
        _refuse_identifier(read)
        return _with_levels(name, kind, read)
    if len(read.numbers) < len(read.words):
        _refuse_words(read)
    if not all(map(math.isfinite, read.numbers)):
        raise TableError(f"{where}: holds infinite values; correct them, or leave the cells empty")
    whole = all(number.is_integer() for number in read.numbers)
    ends = outward(min(read.numbers), max(read.numbers), whole=whole, positive=positive)
    codes = asked is None and whole and len(read.words) <= MOST_CODES
    note = f"{where}: {len(read.words)} whole numbers; if they are codes, draft with --type {name}=categorical"
    return Proposal(name, kind, range=ends, notes=(note,) if codes else ())


def outward(low: float, high: float, *, whole: bool, positive: bool = False) -> tuple[float, float]:
    """A range of round numbers that holds ``low`` and ``high`` inside, neither of them an end, 0 excepted.

    Ends are multiples of 1, 2 or 5 times a power of ten, about a tenth of the spread, and whole with ``whole``. Where
    all values are positive the range starts at 0 rather than below it, and with ``positive`` above it.
    """
    step = max(_round_step((high - low) / 10 or abs(high) / 10 or 1.0), 1.0 if whole else 0.0)
    below, above = math.ceil(low / step) - 1, math.floor(high / step) + 1
    # Division rounds: 0.3 / 0.05 is below 6.
    below -= _multiple(below, step) >= low
    above += _multiple(above, step) <= high
    bottom = _multiple(max(below, 0) if low >= 0 else below, step)
    if positive and low > 0 and bottom <= 0:
        bottom = 10.0 ** math.floor(math.log10(low / 2))
    return bottom, _multiple(above, step)


def _read(column: pd.Series, where: str) -> _Column:
    words = [word for word in read_words(column, where) if word is not None]
    if not words:
        raise TableError(f"{where}: holds no value at all; fill it in, or leave it out of the formula")
    distinct, counts = np.unique(np.array(words, dtype=str), return_counts=True)
    read = _Column(where, [str(word) for word in distinct], counts.tolist())
    _refuse_dates(read)
    return read


def _guess(read: _Column) -> VariableType:
    """0 and 1 are binary, other numbers are numeric, and words are categorical."""
    if 0 < len(read.numbers) < len(read.words):
        _refuse_words(read)
    if is_zero_one(tuple(read.words)):
        return "binary"
    return "numeric" if read.numbers else "categorical"


def _with_levels(name: str, kind: VariableType, read: _Column) -> Proposal:
    numbers = len(read.numbers) == len(read.words)
    levels = sorted(read.words, key=float) if numbers else sorted(read.words)
    if len(levels) < 2:
        raise TableError(
            f"{read.where}: holds only `{levels[0]}`, and a covariate or outcome needs two levels; draft the study "
            "from a table in which it varies, or leave it out of the formula"
        )
    if kind == "binary" and len(levels) != 2:
        raise TableError(
            f"{read.where}: has {len(levels)} different values, such as {', '.join(levels[:3])}, where a binary "
            "variable has 2; merge them into two, or choose another type or family"
        )
    rare = [word for word, count in zip(read.words, read.counts, strict=True) if count < RARE]
    note = f"{read.where}: {', '.join(rare[:5])} in fewer than {RARE} rows; merge unless other sites have more"
    return Proposal(name, kind, tuple(levels), notes=(note,) if rare else ())


def _notes_on_groups(read: _Column) -> Iterator[str]:
    if len(read.words) == read.rows:
        yield f"{read.where}: no two rows share a group, so its variance may not be told from chance"


def _refuse_dates(read: _Column) -> None:
    dates = [word for word in read.words if _DATE.fullmatch(word)]
    if len(dates) > len(read.words) / 2:
        raise TableError(
            f"{read.where}: holds dates, which a model cannot use; put a number into a column of its own, such as the "
            "days since admission or the age in years"
        )


def _refuse_words(read: _Column) -> None:
    words = [word for word in read.words if number_of(word) is None]
    if any(_DECIMAL_COMMA.fullmatch(word) for word in words):
        raise TableError(f"{read.where}: has decimal commas; save the table with decimal points, as in 1.5")
    if len(words) == len(read.words):
        raise TableError(f"{read.where}: holds text, not numbers; declare it with --type NAME=categorical")
    example = words[0] if len(words[0]) <= 40 else f"{words[0][:37]}..."
    raise TableError(
        f"{read.where}: holds numbers and text, such as {example!r}; correct the text or leave those cells empty, or, "
        "if all values are codes, declare it with --type NAME=categorical"
    )


def _refuse_identifier(read: _Column) -> None:
    """Refuse text that is (nearly) different in each row, and more levels than disclosure control allows."""
    levels = len(read.words)
    if any(_DECIMAL_COMMA.fullmatch(word) for word in read.words):
        _refuse_words(read)
    nearly_unique = levels > 0.9 * read.rows and read.rows >= FEWEST_FOR_IDENTIFIER
    if nearly_unique or levels > MOST_LEVELS:
        raise TableError(
            f"{read.where}: has {levels} different values in {read.rows} rows, as an identifier or free text has; "
            f"leave it out of the formula, merge its values into at most {MOST_LEVELS} levels, or use it as a group, "
            "as in (1 | g)"
        )


def _round_step(size: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least ``size``."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= size * (1 - 1e-12))


def _multiple(count: int, step: float) -> float:
    """count * step without the dust of binary fractions, as in 3 * 0.1."""
    return round(count * step, max(0, 2 - math.floor(math.log10(step))))
