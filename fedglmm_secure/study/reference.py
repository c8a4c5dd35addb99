"""The design columns and their scale, from the declared levels and ranges alone.

No site sees the others' data, yet all must build the same columns and scale them alike. So the formula is
materialised once on a *reference table* made from the declarations: for each term, every combination of the
levels of its variables and of evenly spaced values over their ranges. Names, coding and scale follow from
that table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod

import numpy as np
import pandas as pd

from fedglmm_secure.errors import InputError
from fedglmm_secure.model.design import INTERCEPT
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.columns import Mask
from fedglmm_secure.study.schema import Variable
from fedglmm_secure.study.terms import Columns, ModelTerm, expression_values
from fedglmm_secure.study.values import is_zero_one

Variables = Mapping[str, Variable]
Floats = tuple[float, ...]
Ends = tuple[float, float]

_BLOCK_ROWS = 500
_POINTS = (17, 9, 5, 3, 2)
"""How many values of a numeric variable are tried, most first; mostly odd, to include mid-range."""


def covariates_of(*terms: ModelTerm) -> tuple[str, ...]:
    """The variables in ``terms``, each once, in order of appearance."""
    return tuple(dict.fromkeys(name for term in terms for name in term.variables))


def is_category(variable: Variable) -> bool:
    """Whether a covariate is coded by its levels; a binary one of levels 0 and 1 is a number, as in R."""
    coded = variable.type == "binary" and not is_zero_one(variable.levels or ())
    return coded or variable.type == "categorical"


def reference_table(terms: Sequence[ModelTerm], variables: Variables) -> pd.DataFrame:
    """One block of rows for each term: its variables over their levels and ranges, the others held still."""
    names = covariates_of(*terms)
    still = {name: _values(variables[name], 3)[0] for name in names}
    rows: list[Mapping[str, object]] = [still]
    for term in terms:
        choices = _choices(term, variables)
        rows += [{**still, **dict(zip(term.variables, row, strict=True))} for row in product(*choices)]
    columns = {name: [row[name] for row in rows] for name in names}
    return pd.DataFrame({name: as_column(columns[name], variables[name]) for name in names}, index=range(len(rows)))


def as_column(values: Sequence[object], variable: Variable) -> pd.Series:
    """Canonical values as a column that formulaic codes in one way only: declared categories, or floats."""
    if is_category(variable):
        return pd.Series(pd.Categorical(list(map(str, values)), categories=pd.Index(variable.levels or ())))
    return pd.Series(np.asarray(values, dtype=np.float64))


def _choices(term: ModelTerm, variables: Variables) -> list[list[object]]:
    for points in _POINTS:
        choices = [_values(variables[name], points) for name in term.variables]
        if prod(map(len, choices)) <= _BLOCK_ROWS:
            return choices
    raise InputError(f"model.formula: `{term.text}` combines too many levels; drop a variable or merge levels")


def _values(variable: Variable, points: int) -> list[object]:
    if is_category(variable):
        return list(variable.levels or ())
    if variable.type == "binary":
        return [0.0, 1.0]
    low, high = variable.range or (0.0, 1.0)
    return list(np.linspace(low, high, points))


def check_finite(table: pd.DataFrame, terms: Sequence[ModelTerm]) -> None:
    """Raise InputError for an expression that is undefined somewhere on the reference table."""
    for text, values in expression_values(table, terms).items():
        if not np.isfinite(values).all():
            raise InputError(
                f"model.formula: `{text}` is not finite over the declared ranges of its variables; "
                "narrow the range or change the expression"
            )


def scale(columns: Columns, table: pd.DataFrame, extra: Sequence[Ends] = ()) -> tuple[Floats, Floats]:
    """Mid-range and half-range of each column; 0 and max |x| where no intercept could absorb the centring.

    The columns are the fixed effects, or the correlated random terms of one group. ``extra`` are the lowest and highest
    value of columns that stand after those of ``columns``. Raises InputError for a constant that is no intercept.
    """
    x = columns.matrix(table)
    constant = np.array([name == INTERCEPT for name in columns.names] + [False] * len(extra))
    low, high = (np.append(ends, [pair[i] for pair in extra]) for i, ends in enumerate((x.min(axis=0), x.max(axis=0))))
    _refuse_constant(columns.names, low == high, constant)
    if constant.any():
        centre, half = (low + high) / 2, (high - low) / 2
    else:
        centre, half = np.zeros(len(low)), np.maximum(np.abs(low), np.abs(high))
    return _floats(np.where(constant, 0.0, centre)), _floats(np.where(constant, 1.0, half))


def _refuse_constant(names: tuple[str, ...], constant: Mask, allowed: Mask) -> None:
    wrong = [name for name, *flags in zip(names, constant, allowed, strict=False) if flags == [True, False]]
    if wrong:
        raise InputError(f"model.formula: `{wrong[0]}` is the same for every row; remove it")


def _floats(values: Vector) -> Floats:
    return tuple(float(value) for value in values)
