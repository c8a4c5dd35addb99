"""The plan of a design: the columns, random terms and cells that the study alone determines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from fedglmm_secure.errors import InputError
from fedglmm_secure.model.design import INTERCEPT, Layout
from fedglmm_secure.study.cells import cell_names
from fedglmm_secure.study.formula import Formula
from fedglmm_secure.study.reference import (
    Ends,
    Variables,
    check_finite,
    covariates_of,
    reference_table,
    scale,
)
from fedglmm_secure.study.schema import Model
from fedglmm_secure.study.terms import Columns, parse_terms

MAX_COLUMNS = 300
MAX_TERMS = 4
"""Random terms of a group: four have ten variances and covariances, more than hospitals' data usually support."""
MAX_QUADRATURE_TERMS = 3
MAX_EVALUATIONS = 10_000
"""Quadrature points a group: the work of one evaluation is their number times the rows."""


@dataclass(frozen=True)
class Plan:
    """All that a study says about its design: the parts of the formula and the columns they make."""

    model: Model
    formula: Formula
    fixed: Columns
    random: tuple[Columns, ...]
    """The columns of each random term ``( ... | group)``, correlated within it."""
    variables: Variables
    layout: Layout

    @property
    def covariates(self) -> tuple[str, ...]:
        """The variables on the right of the formula, groups apart, in order of appearance."""
        return covariates_of(*self.fixed.terms, *chain(*(columns.terms for columns in self.random)))

    @property
    def used(self) -> tuple[str, ...]:
        """The columns that a row must have to be complete, the group apart."""
        extra = (name for name in (self.model.offset, self.model.weights, self.model.trials) if name)
        return tuple(dict.fromkeys((self.formula.response, *self.covariates, *extra)))


def make_plan(model: Model, formula: Formula, variables: Variables) -> Plan:
    """The columns of ``formula`` for ``variables``; all its random terms must have the same group.

    Raises InputError when a term is not finite or constant over the declared ranges, when there are too many columns
    or random terms, or one of them twice.
    """
    fixed_terms, random_terms = parse_terms(formula.fixed), [parse_terms(term.text) for term in formula.random]
    terms = (*fixed_terms, *chain(*random_terms))
    if not fixed_terms:
        raise InputError("model.formula: has no fixed effect; keep the intercept at least")
    check_finite(table := reference_table(terms, variables), terms)
    fixed, random = Columns.on(fixed_terms, table), tuple(Columns.on(part, table) for part in random_terms)
    response = (formula.response,) if model.family == "gaussian" else ()
    columns, names = (*fixed.names, *response), tuple(chain(*(part.names for part in random)))
    _check_columns(columns)
    _check_random(names, model)
    centre, half = scale(fixed, table, [_residual_ends(model, formula, variables)] if response else [])
    z_scales = [scale(part, table) for part in random]
    layout = Layout(
        columns=columns,
        centre=centre,
        half=half,
        intercept=fixed.names.index(INTERCEPT) if INTERCEPT in fixed.names else None,
        group=formula.random[0].group if formula.random else "",
        terms=names,
        blocks=tuple(len(part.names) for part in random),
        z_centre=tuple(chain(*(centre for centre, _ in z_scales))),
        z_half=tuple(chain(*(half for _, half in z_scales))),
        levels=cell_names(formula.response, model.trials, covariates_of(*terms), variables),
        family=model.family,
    )
    return Plan(model, formula, fixed, random, variables, layout)


def _residual_ends(model: Model, formula: Formula, variables: Variables) -> Ends:
    """The ends of -(y - offset), which is a column of the Gaussian family's design."""
    low, high = variables[formula.response].range or (0.0, 1.0)
    least, most = (variables[model.offset].range if model.offset else None) or (0.0, 0.0)
    return least - high, most - low


def _check_columns(names: tuple[str, ...]) -> None:
    if len(names) > MAX_COLUMNS or len(set(names)) < len(names):
        raise InputError(f"model.formula: makes {len(names)} coefficients; at most {MAX_COLUMNS}, all named apart, fit")


def _check_random(names: tuple[str, ...], model: Model) -> None:
    q, nodes = len(names), model.nodes
    for name in names:
        if names.count(name) > 1:
            remedy = "write `0 +` in all but one" if name == INTERCEPT else "keep one"
            raise InputError(f"model.formula: the random term `{name}` stands twice for one group; {remedy}")
    if q > MAX_TERMS:
        raise InputError(f"model.formula: has {q} random terms a group; at most {MAX_TERMS} can be fitted, drop some")
    if model.method == "agh" and q > MAX_QUADRATURE_TERMS:
        raise InputError(
            f'model.method: "agh" takes at most {MAX_QUADRATURE_TERMS} random terms a group, not {q}; use "laplace"'
        )
    if nodes**q > MAX_EVALUATIONS:
        raise InputError(
            f"model.nodes: with {q} random terms quadrature takes {nodes}^{q} = {nodes**q} evaluations a group; "
            'use fewer nodes or method = "laplace"'
        )
