"""From a table of patients to a design: columns read by type, incomplete rows dropped, rows by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_secure.errors import TableError
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.cells import cells
from fedglmm_secure.study.columns import read_codes, read_groups, read_numbers
from fedglmm_secure.study.formula import SITE
from fedglmm_secure.study.outcome import make_outcome
from fedglmm_secure.study.plan import Plan
from fedglmm_secure.study.problems import nearest
from fedglmm_secure.study.reference import is_category
from fedglmm_secure.study.split import DividableDesign
from fedglmm_secure.study.terms import Columns

Words = npt.NDArray[np.object_]


def site_design(plan: Plan, frame: pd.DataFrame, site: str, source: str) -> DividableDesign:
    """The design of the table of one ``site``; raises TableError."""
    group = plan.layout.group
    _check_table(plan, frame, source, () if group in ("", SITE) else (group,))
    groups = _words(frame, group, source, site)
    return _design(plan, frame, groups, source)


def pooled_design(plan: Plan, frame: pd.DataFrame, source: str) -> DividableDesign:
    """The design of several sites' rows, whose sites stand in a column ``site``; raises TableError."""
    group = plan.layout.group
    _check_table(plan, frame, source, (group,) if group else ())
    groups = _words(frame, group, source, None)
    if group not in ("", SITE) and SITE in frame:
        sites = read_groups(frame[SITE], _where(source, SITE))
        pairs = zip(sites, groups, strict=True)
        nested = [None if site is None or name is None else _nested(site, name) for site, name in pairs]
        groups = np.array([*nested, None], dtype=object)[:-1]
    return _design(plan, frame, groups, source)


def _nested(site: str, name: str) -> str:
    """A name that no other pair has: the first slash without a backslash before it ends the site."""
    plain = site.replace("\\", "\\\\").replace("/", "\\/")
    return f"{plain}/{name}"


@dataclass(frozen=True)
class _Column:
    """A used column: numbers, or positions in the declared levels, and where it holds nothing."""

    values: Vector
    missing: npt.NDArray[np.bool_]


def _words(frame: pd.DataFrame, group: str, source: str, site: str | None) -> Words:
    """The group of each row: all rows are one where the model has no random term, or where they are the ``site``."""
    if not group or (group == SITE and site is not None):
        return np.full(len(frame), site if group else "", dtype=object)
    return read_groups(frame[group], _where(source, group))


def _design(plan: Plan, frame: pd.DataFrame, groups: Words, source: str) -> DividableDesign:
    read = {name: _read(plan, frame, name, source) for name in plan.used}
    complete = np.array([group is not None for group in groups])
    for column in read.values():
        complete &= ~column.missing
    if not complete.any():
        raise TableError(_nothing_left(read, groups, plan.layout.group, source))
    kept = np.flatnonzero(complete)
    codes, group_names = pd.factorize(groups[kept], sort=True)
    order = kept[np.argsort(codes, kind="stable")]
    values = {name: column.values[order] for name, column in read.items()}
    table = _table(plan, values)
    outcome = make_outcome(plan, values, source)
    counted = cells(plan.formula.response, plan.model.trials, plan.covariates, plan.variables, values)
    x = _matrix(plan.fixed, table, source)
    z = np.column_stack([np.empty((order.size, 0)), *(_matrix(part, table, source) for part in plan.random)])
    return DividableDesign(
        x=x if outcome.residual is None else np.column_stack([x, outcome.residual]),
        z=z,
        y=outcome.y,
        offset=outcome.offset,
        weights=outcome.weights,
        constant=float(outcome.constants.sum()),
        starts=np.searchsorted(np.sort(codes), np.arange(group_names.size)).astype(np.intp),
        group_names=tuple(str(name) for name in group_names),
        level_counts=np.asarray(counted.sum(axis=0), dtype=np.float64),
        dropped=int(len(frame) - order.size),
        constants=outcome.constants,
        cells=counted,
    )


def _check_table(plan: Plan, frame: pd.DataFrame, source: str, groups: tuple[str, ...]) -> None:
    if not len(frame):
        raise TableError(f"{source}: has no rows; check that it is the right file")
    columns = [str(column) for column in frame.columns]
    for name in (*plan.used, *groups):
        if columns.count(name) > 1:
            raise TableError(f"{source}: column {name} stands twice; keep one of them")
        if name not in columns:
            hint = nearest(name, columns) or f"; the table has {', '.join(columns[:10])}"
            line = " ".join(hint.split())  # a column's name may hold line breaks
            raise TableError(f"{source}: column {name}, which the study uses, is missing{line}")


def _read(plan: Plan, frame: pd.DataFrame, name: str, source: str) -> _Column:
    variable = plan.variables[name]
    if variable.levels is None:
        values = read_numbers(frame[name], variable, _where(source, name))
        return _Column(values, np.isnan(values))
    codes = read_codes(frame[name], variable, _where(source, name))
    return _Column(codes.astype(np.float64), codes == -1)


def _table(plan: Plan, values: Mapping[str, Vector]) -> pd.DataFrame:
    """The covariates as columns that formulaic codes as it coded the reference table's."""
    columns: dict[str, object] = {}
    for name in plan.covariates:
        variable = plan.variables[name]
        if is_category(variable):
            columns[name] = pd.Categorical.from_codes(
                values[name].astype(np.intp), categories=pd.Index(variable.levels or ())
            )
        else:
            columns[name] = values[name]
    return pd.DataFrame(columns, index=range(values[plan.formula.response].size))


def _matrix(columns: Columns, table: pd.DataFrame, source: str) -> Matrix:
    matrix = columns.matrix(table)
    bad = ~np.isfinite(matrix).all(axis=0)
    if bad.any():
        name = columns.names[int(np.argmax(bad))]
        raise TableError(f"{source}: `{name}` is not finite in some rows; narrow the declared range in the study")
    return matrix


def _nothing_left(read: Mapping[str, _Column], groups: Words, group: str, source: str) -> str:
    empty = [name for name, column in read.items() if column.missing.all()]
    if all(value is None for value in groups):
        empty.append(group)
    if empty:
        return f"{source}: column {empty[0]} holds no value at all, so no complete row is left; fill it in"
    return f"{source}: no complete row is left: each of {len(groups)} rows misses a used value; fill some in"


def _where(source: str, name: str) -> str:
    return f"{source}: column {name}"
