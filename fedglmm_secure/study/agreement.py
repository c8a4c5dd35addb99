"""What the tables of a study must agree on: the formula with the variables, the roster with itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fedglmm_secure.errors import InputError
from fedglmm_secure.ring import MAX_SITES
from fedglmm_secure.study.formula import NAME, SITE, Formula
from fedglmm_secure.study.problems import nearest
from fedglmm_secure.study.reference import covariates_of, is_category
from fedglmm_secure.study.schema import Model, Site, Variable
from fedglmm_secure.study.terms import ModelTerm, factor_variables, is_expression, parse_terms

_OUTCOME_TYPE = {"binomial": "binary", "poisson": "count", "gaussian": "numeric"}


def check_variables(model: Model, formula: Formula, variables: Mapping[str, Variable]) -> None:
    """Every variable the model uses is declared, with a type that fits its place; InputError otherwise."""
    for name in variables:
        if name == SITE:
            raise InputError("variables.site: must not be declared: `site` is the site itself; rename the column")
        if len(name) > 64 or not NAME.fullmatch(name):
            raise InputError(f"variables: {name[:64]!r} is not a name (letters, digits, _ and .); rename the column")
    terms = all_terms(formula)
    groups = tuple(term.group for term in formula.random)
    for name in (formula.response, *covariates_of(*terms)):
        _declared(name, variables, "model.formula")
    _check_outcome(model, formula, variables, covariates_of(*terms))
    for term in terms:
        _check_term(term, variables)
    for group in groups:
        _check_group(group, variables)
    for key in ("offset", "weights", "trials"):
        _check_extra(key, getattr(model, key), variables)


def check_roster(sites: Sequence[Site]) -> None:
    """No two sites share a name, a key or a certificate, and a sum over all fits; InputError otherwise."""
    if len(sites) > MAX_SITES:
        raise InputError(f"sites: must be at most {MAX_SITES}, not {len(sites)}; a larger sum could overflow")
    _distinct("name", sites)
    _distinct("public_key", sites)
    _distinct("certificate", sites)


def used_variables(model: Model, formula: Formula) -> tuple[str, ...]:
    """Every declared name the model refers to, each once."""
    groups = (term.group for term in formula.random if term.group != SITE)
    extra = (name for name in (model.offset, model.weights, model.trials) if name)
    return tuple(dict.fromkeys((formula.response, *covariates_of(*all_terms(formula)), *groups, *extra)))


def all_terms(formula: Formula) -> tuple[ModelTerm, ...]:
    """The terms of the fixed part and of every random term."""
    random = (term for part in formula.random for term in parse_terms(part.text))
    return (*parse_terms(formula.fixed), *random)


def _declared(name: str, variables: Mapping[str, Variable], key: str) -> Variable:
    if name == SITE:
        raise InputError(f"{key}: `site` can only be a group, as in (1 | site); remove it from the other terms")
    if name not in variables:
        hint = nearest(name, variables) or f"; add a table [variables.{name}]"
        raise InputError(f"{key}: `{name}` is not declared{hint}")
    return variables[name]


def _check_outcome(
    model: Model, formula: Formula, variables: Mapping[str, Variable], covariates: Iterable[str]
) -> None:
    name, wanted = formula.response, _OUTCOME_TYPE[model.family]
    if variables[name].type != wanted:
        raise InputError(
            f'variables.{name}.type: must be "{wanted}" for the outcome of family = "{model.family}", '
            f'not "{variables[name].type}"'
        )
    if name in covariates or name in (term.group for term in formula.random):
        raise InputError(f"model.formula: `{name}` is the outcome and cannot explain itself; remove it on the right")


def _check_term(term: ModelTerm, variables: Mapping[str, Variable]) -> None:
    for name in term.variables:
        if variables[name].type == "group":
            raise InputError(
                f"model.formula: `{name}` is a group, whose values stay private; use it as (1 | {name}), "
                "or declare it categorical"
            )
    for factor in filter(is_expression, term.factors):
        for name in factor_variables(factor):
            if is_category(variables[name]):
                raise InputError(f"model.formula: `{factor}` does arithmetic on `{name}`, which is not a number")


def _check_group(name: str, variables: Mapping[str, Variable]) -> None:
    if name == SITE:
        return
    if name not in variables:
        hint = nearest(name, (SITE, *variables)) or f'; add [variables.{name}] with type = "group"'
        raise InputError(f"model.formula: the group `{name}` is not declared{hint}")
    if variables[name].type != "group":
        raise InputError(f'variables.{name}.type: must be "group", as it stands behind a bar in the formula')


def _check_extra(key: str, name: str | None, variables: Mapping[str, Variable]) -> None:
    if name is not None and _declared(name, variables, f"model.{key}").type not in ("numeric", "count"):
        raise InputError(f'variables.{name}.type: must be "numeric" or "count" to be the model\'s {key}')


def _distinct(key: str, sites: Sequence[Site]) -> None:
    seen: dict[str, str] = {}
    for site in sites:
        value = getattr(site, key)
        if value in seen:
            raise InputError(f"sites.{key}: `{seen[value]}` and `{site.name}` have the same; each needs its own")
        if value is not None:
            seen[value] = site.name
