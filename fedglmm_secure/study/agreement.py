"""What the tables of a study must agree on: the formula with the variables, the roster with itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fedglmm_secure.errors import InputError
from fedglmm_secure.ring import MAX_SITES
from fedglmm_secure.securesum.paillier import smallest_threshold
from fedglmm_secure.study.formula import NAME, SITE, Formula
from fedglmm_secure.study.problems import nearest
from fedglmm_secure.study.reference import covariates_of, is_category
from fedglmm_secure.study.schema import Model, Paillier, Security, Site, Validation, Variable
from fedglmm_secure.study.terms import ModelTerm, factor_variables, is_expression, parse_terms

_OUTCOMES = {"binomial": ("binary",), "poisson": ("count",), "gaussian": ("numeric", "count")}
_OUTCOME = {
    "binomial": '"binary" for the outcome of family = "binomial", or "count" with the column of trials in model.trials',
    "poisson": '"count" for the outcome of family = "poisson"',
    "gaussian": '"numeric" or "count" for the outcome of family = "gaussian"',
}
_EXTRA = {"offset": ("numeric",), "weights": ("numeric", "count"), "trials": ("count",)}


def check_model(model: Model, formula: Formula, validation: Validation | None) -> None:
    """The method fits the formula, and rows are set aside only to choose a penalty by; InputError otherwise."""
    if model.method == "glm" and formula.random:
        raise InputError(
            'model.method: "glm" has no random terms; use "laplace", or remove the random terms from the formula'
        )
    if model.method != "glm" and not formula.random:
        raise InputError(
            f'model.method: "{model.method}" needs a random term in the formula, such as (1 | site); '
            'add one, or use "glm"'
        )
    if (model.family, model.method) == ("gaussian", "pql"):
        raise InputError(
            'model.method: "pql" has nothing to approximate for family = "gaussian"; use "laplace", exact there'
        )
    if validation is not None and model.selection != "validation":
        raise InputError('validation: belongs to model.selection = "validation"; remove the table or change the key')


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
    for key, types in _EXTRA.items():
        _check_extra(key, types, getattr(model, key), formula, variables)


def check_roster(sites: Sequence[Site]) -> None:
    """No two sites share a name, a key or a certificate, and a sum over all fits; InputError otherwise."""
    if len(sites) > MAX_SITES:
        raise InputError(f"sites: must be at most {MAX_SITES}, not {len(sites)}; a larger sum could overflow")
    _distinct("name", sites)
    _distinct("public_key", sites)
    _distinct("encryption_key", sites)
    _distinct("certificate", sites)
    _distinct("certificate_name", sites)


def check_paillier(security: Security, paillier: Paillier | None, sites: Sequence[Site]) -> None:
    """The dealt key belongs to the protocol, the roster and the dropouts; InputError otherwise."""
    if paillier is None:
        return
    if security.protocol != "paillier":
        raise InputError('paillier: belongs to security.protocol = "paillier"; remove the table or change the key')
    listed, threshold = len(sites), paillier.threshold
    if not smallest_threshold(listed) <= threshold <= listed:
        raise InputError(
            f"paillier.threshold: must be more than half of the {listed} sites and no more than all, not {threshold}; "
            "deal the key again with `fedglmm paillier deal`"
        )
    if threshold > listed - security.dropouts:
        raise InputError(
            f"security.dropouts: must be at most {listed - threshold}, not {security.dropouts}, as it takes "
            f"{threshold} of the {listed} sites to decrypt"
        )


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
    name, declared = formula.response, variables[formula.response].type
    if model.trials is not None and (model.family, declared) != ("binomial", "count"):
        raise InputError(
            'model.trials: belongs to family = "binomial" with an outcome of type = "count", the successes; '
            f'`{name}` of family = "{model.family}" is "{declared}": remove the key'
        )
    if declared not in (("count",) if model.trials else _OUTCOMES[model.family]):
        raise InputError(f'variables.{name}.type: must be {_OUTCOME[model.family]}, not "{declared}"')
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


def _check_extra(
    key: str, types: tuple[str, ...], name: str | None, formula: Formula, variables: Mapping[str, Variable]
) -> None:
    if name is None:
        return
    declared = _declared(name, variables, f"model.{key}").type
    if declared not in types:
        wanted = " or ".join(f'"{one}"' for one in types)
        raise InputError(f'variables.{name}.type: must be {wanted} for the model\'s {key}, not "{declared}"')
    if name == formula.response:
        raise InputError(f"model.{key}: `{name}` is the outcome; name another column or remove the key")


def _distinct(key: str, sites: Sequence[Site]) -> None:
    seen: dict[str, str] = {}
    for site in sites:
        value = getattr(site, key)
        if value in seen:
            raise InputError(f"sites.{key}: `{seen[value]}` and `{site.name}` have the same; each needs its own")
        if value is not None:
            seen[value] = site.name
