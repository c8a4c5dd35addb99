"""One column of a table, read by its declared type: text from a CSV file and typed values alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_secure.errors import TableError
from fedglmm_secure.model.design import Index
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.schema import Variable
from fedglmm_secure.study.values import MISSING, is_zero_one, level_text

Mask = npt.NDArray[np.bool_]

_TRUTH = {"false": 0, "true": 1}
_INFINITE = ("is infinite", "are infinite")
_NO_NUMBER = ("is not a number", "are not numbers")
_NO_COUNT = ("is not a count (0, 1, 2, ...)", "are not counts (0, 1, 2, ...)")


def read_codes(column: pd.Series, variable: Variable, where: str) -> Index:
    """The position of each value in the declared levels, -1 where missing; TableError for any other value."""
    levels = variable.levels or ()
    codes, words = _factorize(column, where)
    places = {level: position for position, level in enumerate(levels)}
    if is_zero_one(levels):
        places |= _TRUTH
    position = np.array([places.get(word, len(levels)) for word in words] + [-1], dtype=np.intp)
    found = position[codes]
    unknown = found == len(levels)
    if unknown.any():
        example = words[codes[int(np.argmax(unknown))]]
        raise TableError(
            f"{where}: {_values(unknown, _is_are('not among the declared levels'))} ({_listed(levels)}), "
            f"such as {example!r}; correct the table or the study"
        )
    return found


def read_words(column: pd.Series, where: str) -> npt.NDArray[np.object_]:
    """The canonical text of each value, None where missing."""
    codes, words = _factorize(column, where)
    return np.array([*words, None], dtype=object)[codes]


def read_groups(column: pd.Series, where: str) -> npt.NDArray[np.object_]:
    """The name of each row's group, None where missing; TableError where one name is written in two ways."""
    names = read_words(column, where)
    written: dict[str, str] = {}
    for value in column.dropna().unique():
        text = str(value).strip()
        name = level_text(text)
        if written.setdefault(name, text) != text:
            raise TableError(
                f"{where}: writes a group as {written[name]!r} and as {text!r}; write it in one way, or, if they are "
                "two groups, put a letter before one"
            )
    return names


def read_numbers(column: pd.Series, variable: Variable, where: str) -> Vector:
    """Each value as a float, NaN where missing; TableError for text, infinite or out-of-range values."""
    numbers, missing = _to_numbers(column, where)
    low, high = variable.range or (-np.inf, np.inf)
    refuse(numbers, np.isinf(numbers), where, _INFINITE, "correct them, or leave the cell empty")
    if variable.type == "count":
        bad = ~missing & ((numbers < 0) | (numbers != np.floor(numbers)))
        refuse(numbers, bad, where, _NO_COUNT, "correct them, or declare the variable numeric")
    outside = ~missing & ((numbers < low) | (numbers > high))
    out_of_range = f"outside the declared range [{low:g}, {high:g}]"
    refuse(numbers, outside, where, _is_are(out_of_range), "correct the table or the study")
    return numbers


def _to_numbers(column: pd.Series, where: str) -> tuple[Vector, Mask]:
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers, np.isnan(numbers)
    codes, words = _factorize(column, where)
    parsed = [_TRUTH[word] if word in _TRUTH else number_of(word) for word in words]
    bad = np.array([value is None for value in parsed] + [False])[codes]
    if bad.any():
        example = words[codes[int(np.argmax(bad))]]
        raise TableError(
            f"{where}: {_values(bad, _NO_NUMBER)}, such as {example!r}; correct them, or leave the cell empty"
        )
    values = np.array([np.nan if value is None else value for value in parsed] + [np.nan], dtype=np.float64)
    return values[codes], codes == -1


def number_of(word: str) -> float | None:
    """The number that a word is; ``1_000``, which Python would take, is not one in a table."""
    try:
        number = None if "_" in word else float(word)
    except ValueError:
        return None
    return None if number is None or np.isnan(number) else number


def _factorize(column: pd.Series, where: str) -> tuple[Index, list[str]]:
    """The distinct values as canonical text, and the place of each row's among them, -1 where missing."""
    try:
        codes, uniques = pd.factorize(column)
    except TypeError:
        raise TableError(f"{where}: holds values that are neither text nor numbers; write one value a cell") from None
    words = [level_text(value) for value in uniques]
    place = np.array([-1 if word in MISSING else number for number, word in enumerate(words)] + [-1], dtype=np.intp)
    return place[codes], words


def refuse(numbers: Vector, bad: Mask, where: str, what: tuple[str, str], remedy: str) -> None:
    """Raise TableError where values are ``bad``: how many, ``what`` in the singular and plural, and the first."""
    if bad.any():
        example = numbers[int(np.argmax(bad))]
        raise TableError(f"{where}: {_values(bad, what)}, such as {example:g}; {remedy}")


def _values(bad: Mask, what: tuple[str, str]) -> str:
    """How many values are ``what``, which is given in the singular and the plural."""
    count = int(bad.sum())
    return f"1 value {what[0]}" if count == 1 else f"{count} values {what[1]}"


def _is_are(what: str) -> tuple[str, str]:
    return f"is {what}", f"are {what}"


def _listed(levels: tuple[str, ...]) -> str:
    shown = ", ".join(levels[:6])
    return shown if len(levels) <= 6 else f"{shown}, ..."
