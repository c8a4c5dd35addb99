"""A first study file from one site's own table: commented TOML for its authors to correct, complete, and pass round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd
import tomli_w

from fedglmm_secure.choices import VariableType
from fedglmm_secure.errors import InputError, TableError
from fedglmm_secure.study.agreement import all_terms
from fedglmm_secure.study.formula import SITE, Formula, parse_formula
from fedglmm_secure.study.problems import nearest
from fedglmm_secure.study.proposal import Proposal, propose
from fedglmm_secure.study.reference import covariates_of
from fedglmm_secure.study.schema import Disclosure, Security
from fedglmm_secure.study.study import Study
from fedglmm_secure.study.terms import is_expression

_RESPONSE: Mapping[str, VariableType] = {"binomial": "binary", "poisson": "count", "gaussian": "numeric"}
_EXTRA: Mapping[str, VariableType] = {"offset": "numeric", "weights": "numeric", "trials": "count"}

_HEAD = """\
# A first version, drafted from one site's table. Every site reads this file and approves it by its digest.
# To do: correct what is wrong, add the levels and widen the ranges that other sites need, and then
#   fedglmm study check STUDY.toml
#   fedglmm study add-site STUDY.toml NAME DIR/public.toml         once for each site
#   fedglmm study set-coordinator STUDY.toml DIR/public.toml
"""
_LEVELS = "# These are the levels of the drafting site: add those that only other sites have, and keep the order."
_RANGE = "# Rounded outwards: no patient's value. Widen it to hold every site's; outside it a table is refused."
_SITES = """\
# `fedglmm study add-site` writes one such table for each site:
# [[sites]]
# name = "north"
# public_key = "..."
# certificate = "..."
"""


@dataclass(frozen=True)
class Request:
    """What the user wants to fit."""

    formula: str
    family: str | None = None
    """None: what the outcome suggests."""
    id: str = "study"
    types: Mapping[str, VariableType] = field(default_factory=dict)
    """The types of variables that the table alone does not tell."""
    offset: str | None = None
    weights: str | None = None
    trials: str | None = None


@dataclass(frozen=True)
class Draft:
    """A study file and what its author, but nobody else, should know."""

    text: str
    notes: tuple[str, ...]


def draft(request: Request, frame: pd.DataFrame, source: str) -> Draft:
    """The draft of a study for the table ``frame`` of the file ``source``.

    It is parsed, and the design of this very table is built from it, before it is returned. Raises InputError for a
    formula that cannot be, TableError for a column that is missing or that no declaration fits.
    """
    formula = parse_formula(request.formula)
    proposals = [
        propose(name, _column(frame, name, source), f"{source}: column {name}", kind, positive)
        for name, kind, positive in _variables(request, formula)
    ]
    family = request.family or _family_of(proposals[0], request)
    proposals[0] = _as_outcome(proposals[0], family, request, source)
    text = _render(request, formula, family, proposals)
    study = Study.parse(text, "the draft")
    design = study.design(frame, "draft", source)
    notes = [note for proposal in proposals for note in proposal.notes]
    if design.dropped:
        notes.append(f"{source}: {design.dropped} of {len(frame)} rows miss a used value and would be left out")
    return Draft(text, tuple(notes))


def _variables(request: Request, formula: Formula) -> Iterator[tuple[str, VariableType | None, bool]]:
    """Name, known type and whether arithmetic is done with it: of each used variable, the outcome first."""
    terms = all_terms(formula)
    inside = {name for term in terms if any(map(is_expression, term.factors)) for name in term.variables}
    roles: dict[str, VariableType | None] = {formula.response: None, **dict.fromkeys(covariates_of(*terms))}
    if request.family is not None and not request.trials:
        roles[formula.response] = _RESPONSE.get(request.family)
    if request.trials:
        roles[formula.response] = "count"
    for term in formula.random:
        if term.group not in (SITE, formula.response):
            roles[term.group] = "group"
    for role, extra in _EXTRA.items():
        if name := getattr(request, role):
            roles[name] = extra
    unknown = [name for name in request.types if name not in roles]
    if unknown:
        raise InputError(f"--type {unknown[0]}: the formula does not use `{unknown[0]}`{nearest(unknown[0], roles)}")
    for name, kind in roles.items():
        yield name, request.types.get(name, kind), name in inside


def _column(frame: pd.DataFrame, name: str, source: str) -> pd.Series:
    if name == SITE:
        raise InputError("model.formula: `site` can only be a group, as in (1 | site); remove it from the other terms")
    columns = [str(column) for column in frame.columns]
    if name not in columns:
        hint = nearest(name, columns) or f"; the table has {', '.join(columns[:10])}"
        line = " ".join(hint.split())  # a column's name may hold line breaks
        raise TableError(f"{source}: column {name}, which the formula uses, is missing{line}")
    return frame.iloc[:, columns.index(name)]


def _family_of(outcome: Proposal, request: Request) -> str:
    """Two values, or trials, are binomial; other numbers Gaussian, as nothing tells a count from a measurement."""
    if request.trials or len(outcome.levels) == 2:
        return "binomial"
    if outcome.levels:
        raise InputError(
            f"model.formula: the outcome `{outcome.name}` has {len(outcome.levels)} levels; no family fits more than "
            "two: merge them, or choose another outcome"
        )
    return "poisson" if outcome.type == "count" else "gaussian"


def _as_outcome(outcome: Proposal, family: str, request: Request, source: str) -> Proposal:
    """Two values are an event and its absence; numbers are a guess, of which the author should hear."""
    if family == "binomial" and outcome.levels:
        return replace(outcome, type="binary")
    if request.family is None and outcome.type == "numeric":
        note = f"{source}: column {outcome.name}: taken as a measurement; for counts, add --family poisson"
        return replace(outcome, notes=(note,))
    return outcome


def _render(request: Request, formula: Formula, family: str, proposals: list[Proposal]) -> str:
    limits, security = Disclosure(), Security()
    method = "laplace" if formula.random else "glm"
    methods = "laplace | agh, with nodes = 9 | pql" if formula.random else "glm: no random terms"
    extra = [f"{role} = {_value(name)}" for role in _EXTRA if (name := getattr(request, role))]
    model = [
        f"formula = {_value(request.formula)}",
        f'family = "{family}"   # binomial | poisson | gaussian',
        f'method = "{method}"   # {methods}',
        *extra,
    ]
    return "\n".join(
        [
            _HEAD,
            "[study]",
            f"id = {_value(request.id)}",
            'title = ""   # one line',
            "",
            "[model]",
            *model,
            "",
            *(line for proposal in proposals for line in _variable(proposal, formula.response)),
            "[security]",
            f'protocol = "{security.protocol}"   # sums of masked numbers; no site\'s own number is ever seen',
            f"dropouts = {security.dropouts}   # how many lost sites a sum may survive",
            f'on_dropout = "{security.on_dropout}"',
            f"minimum_sites = {security.minimum_sites}   # sites refuse a smaller roster",
            "",
            "[disclosure]   # what every site enforces; a site's own policy may be stricter, never looser",
            f"minimum_cell = {limits.minimum_cell}   # smallest non-zero count of a level, in the pooled data",
            f"minimum_rows = {limits.minimum_rows}   # pooled",
            f"maximum_parameters_per_row = {limits.maximum_parameters_per_row:g}",
            f"maximum_levels = {limits.maximum_levels}   # of one variable",
            f"maximum_levels_per_row = {limits.maximum_levels_per_row:g}",
            "",
            _SITES,
        ]
    )


def _variable(proposal: Proposal, response: str) -> Iterator[str]:
    yield f"[variables.{_key(proposal.name)}]"
    yield f'type = "{proposal.type}"'
    if proposal.levels:
        yield _LEVELS
        meaning = "the last is the event" if proposal.name == response else "the first is the reference"
        yield f"levels = [{', '.join(map(_value, proposal.levels))}]   # {meaning}"
    elif proposal.range:
        yield _RANGE
        yield f"range = [{', '.join(f'{end:.12g}' for end in proposal.range)}]"
    else:
        yield "# Its values stay at each site: equal ones at two sites are two groups."
    yield ""


def _value(text: str) -> str:
    """A string as TOML writes it."""
    return tomli_w.dumps({"x": text}).removeprefix("x = ").strip()


def _key(name: str) -> str:
    return tomli_w.dumps({name: 1}).removesuffix(" = 1\n")
