"""Every disclosure check of a study: its name, value, limit and verdict, and the sentence of a refusal.

The same rules are applied twice. To what a site knows by itself, before anything leaves it: a dry run shows the list
(``local_checks``), and what fails is refused (``check_local``). To the pooled counts, with every question after the
first sum (``check_pooled``). The limits are as strict as DataSHIELD's: nfilter.tab = 3, nfilter.subset = 3,
nfilter.glm = 0.33, nfilter.levels.max = 40, nfilter.levels.density = 0.33.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fedglmm_secure.errors import OwnRowsError, RefusalError
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Design
from fedglmm_secure.model.questions import ALL, TRAINING, VALIDATION
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.formula import SITE
from fedglmm_secure.study.study import Study

BEFORE = "before anything is sent"
POOLED = "on the pooled counts, before any question about the model"

GROUPS_PER_COLUMN = 2
_REMEDY = {"parameters": "covariates", "penalties": "penalties, or a larger validation.fraction"}


@dataclass(frozen=True)
class Check:
    """One disclosure check."""

    name: str
    value: str
    """What was found so far, in words: at this site, or in the pooled data."""
    limit: str
    """What the study allows, with the key that says so."""
    passed: bool | None
    """None: only the pooled data can tell, as this site's own part of them does not settle it."""
    when: str
    """When it is decided: ``BEFORE`` or ``POOLED``."""
    refusal: str = ""
    """What a site says when it refuses because of this check."""


@dataclass(frozen=True)
class _Counts:
    """Counts to judge: those of all sites (``whose`` is "pooled"), or of one."""

    rows: float
    groups: float
    cells: Vector
    whose: str
    place: str
    final: bool
    """Whether these are the counts that are released; else they are one site's part of them, which can only grow."""
    when: str

    def verdict(self, passed: bool) -> bool | None:
        """``passed``, unless more rows may still change it."""
        return passed if passed or self.final else None


def local_checks(study: Study, design: Design, site: str) -> tuple[Check, ...]:
    """All checks, as far as ``site`` can know by itself.

    With protocol "plain" the coordinator sees each site's numbers, so a site's own counts have to pass; otherwise the
    pooled ones have. A rehearsal is excepted: its tables are all of one user.
    """
    shown = study.security.protocol == "plain" and study.study.rehearsal_of is None
    counts = _Counts(
        rows=design.rows,
        groups=design.groups,
        cells=design.level_counts,
        whose="own",
        place=f"at {site}",
        final=shown,
        when=BEFORE if shown else POOLED,
    )
    released = [(parameters(study), "parameters")]
    if isinstance(study.model.penalty, tuple) and study.validation is not None:
        released.append((len(study.model.penalty), "penalties"))
    return (
        *declared_checks(study),
        *(check for count, what in released for check in _row_checks(study, counts, count, what)),
        *_level_checks(study, counts),
        *(_group_checks(study, counts, len(study.layout.columns)) if study.layout.group != SITE else ()),
    )


def check_local(study: Study, design: Design, site: str) -> None:
    """Raise RefusalError for the first check that a site knows to fail before it has sent anything.

    OwnRowsError where its own rows are the reason.
    """
    check_declared(study)
    for check in local_checks(study, design, site):
        if check.passed is False:
            raise OwnRowsError(f'with protocol = "plain" the coordinator sees this site\'s numbers: {check.refusal}')


def check_declared(study: Study) -> None:
    """Raise RefusalError for what the study alone shows to be too much."""
    _refuse(declared_checks(study))  # (rule 18)


def check_pooled(study: Study, description: Description, columns: int, released: int, what: str) -> None:
    """Raise RefusalError for the first check that the pooled counts fail.

    ``released`` numbers, ``what`` in words, are about to be estimated with ``columns`` fixed effects.
    """
    if description.rows < 1:
        raise RefusalError("the pooled tables hold no complete row; there is nothing to fit")
    counts = _Counts(
        rows=description.rows,
        groups=description.groups,
        cells=description.level_counts,
        whose="pooled",
        place="in all",
        final=True,
        when=POOLED,
    )
    _refuse(_level_checks(study, counts))  # (rule 21)
    if study.layout.group != SITE:
        _refuse(_group_checks(study, counts, columns))  # (rule 22)
    _refuse(_row_checks(study, counts, released, what))  # (rule 23)


def parameters(study: Study) -> int:
    """How many parameters the model has: beta, the scale of a linear mixed model, the free entries of Lambda."""
    layout = study.layout
    return len(layout.columns) + (study.model.method == "pql") + Pattern(layout.blocks).size


def declared_checks(study: Study) -> Iterator[Check]:
    """The checks that need no data: declared levels and, where the site is the group, the sites of a sum.

    A site may be lost in any sum, after it was asked for: those count that cannot be left out.
    """
    limit = study.disclosure.maximum_levels
    for name, levels in factors(study):
        yield Check(
            f"levels of {name}",
            f"{levels}",
            f"at most maximum_levels = {limit}",
            levels <= limit,
            BEFORE,
            f"{name} has {levels} declared levels, more than maximum_levels = {limit} allows; merge the rare ones",
        )
    if study.layout.group == SITE:
        lost = study.security.dropouts if study.security.on_dropout == "exclude" else 0
        place = "in the roster" + (f" when {lost} are left out" if lost else "")
        roster = _Counts(0.0, len(study.sites) - lost, np.zeros(0), "", place, final=True, when=BEFORE)
        yield from _group_checks(study, roster, len(study.layout.columns))


def _row_checks(study: Study, counts: _Counts, released: int, what: str) -> Iterator[Check]:
    """Enough rows, and enough for each number that is estimated; of the smallest part where rows are divided."""
    rows = counts.rows * min(share(study, part) for part in _parts(study))
    few, limit = study.disclosure.minimum_rows, study.disclosure.maximum_parameters_per_row
    yield Check(
        f"{what} a row",
        f"{released} {what} for {rows:.0f} rows {counts.place}",
        f"at most maximum_parameters_per_row = {limit:g}",
        counts.verdict(released <= limit * rows),
        counts.when,
        f"the model has {released} {what} for {rows:.0f} {counts.whose} rows, more than "
        f"maximum_parameters_per_row = {limit:g} allows; use fewer {_REMEDY[what]}",
    )
    if what == "parameters":
        yield Check(
            "rows",
            f"{rows:.0f} {counts.place}",
            f"at least minimum_rows = {few}",
            counts.verdict(rows >= few),
            counts.when,
            f"there are {rows:.0f} {counts.whose} rows, fewer than minimum_rows = {few}; "
            "widen the criteria by which rows are chosen, or add sites",
        )


def _level_checks(study: Study, counts: _Counts) -> Iterator[Check]:
    """No cell of the outcome or of a covariate level with few rows, and not many levels beside the rows."""
    smallest, density = study.disclosure.minimum_cell, study.disclosure.maximum_levels_per_row
    for level, count in zip(study.layout.levels, counts.cells.tolist(), strict=True):
        enough = round(count) >= smallest or (counts.final and round(count) == 0)
        yield Check(
            f"rows with {level}",
            f"{count:.0f} {counts.place}",
            f"none, or at least minimum_cell = {smallest}",
            counts.verdict(enough),
            counts.when,
            f"{level} occurs in fewer than minimum_cell = {smallest} rows of the {counts.whose} data; "
            "merge this level with another, or leave the variable out",
        )
    for name, levels in factors(study):
        yield Check(
            f"levels of {name} a row",
            f"{levels} levels for {counts.rows:.0f} rows {counts.place}",
            f"at most maximum_levels_per_row = {density:g}",
            counts.verdict(levels <= density * counts.rows),
            counts.when,
            f"{name} has {levels} levels for {counts.rows:.0f} {counts.whose} rows, more than "
            f"maximum_levels_per_row = {density:g} allows; merge levels, or leave the variable out",
        )


def _group_checks(study: Study, counts: _Counts, columns: int) -> Iterator[Check]:
    """Whether the sums of a linear mixed model would determine each group's own averages.

    Its Hessian at any parameters is a combination of the same outer products, one a group, with weights that depend on
    Lambda: from a few evaluations they can be told apart while groups are few beside columns (docs/threat-model.md).
    """
    linear = study.model.family == "gaussian" or study.model.method == "pql"
    if not linear or not study.layout.terms or study.disclosure.few_groups == "allow":
        return
    needed = GROUPS_PER_COLUMN * columns / len(study.layout.terms)
    yield Check(
        f"groups of {study.layout.group}",
        f"{counts.groups:.0f} {counts.place}",
        f"at least {needed:g} for {columns} columns (few_groups)",
        counts.verdict(counts.groups >= needed),
        counts.when,
        f"{counts.groups:.0f} groups are few beside {columns} columns: the sums of a linear mixed model would let each "
        'group\'s averages be computed; use fewer covariates, or set disclosure.few_groups = "allow" if every site '
        "may accept it",
    )


def share(study: Study, part: str) -> float:
    """The share of all rows that is expected in a part."""
    fraction = study.validation.fraction if study.validation is not None else 0.0
    return {ALL: 1.0, TRAINING: 1.0 - fraction, VALIDATION: fraction}[part]


def _parts(study: Study) -> tuple[str, ...]:
    """Whose derivatives can be had, those of the validation rows by subtraction."""
    return (ALL, TRAINING, VALIDATION) if study.validation is not None else (ALL,)


def factors(study: Study) -> Iterator[tuple[str, int]]:
    """The outcome and the covariates that have levels, and how many, in the order of ``Layout.levels``."""
    for name in (study.formula.response, *study.plan.covariates):
        levels = study.variables[name].levels
        if levels is not None:
            yield name, len(levels)


def _refuse(checks: Iterable[Check]) -> None:
    for check in checks:
        if check.passed is False:
            raise RefusalError(check.refusal)
