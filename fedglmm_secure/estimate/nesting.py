"""Whether one fit's model is nested in another's: judged by the formulas, as names of columns depend on the coding."""

from __future__ import annotations

import re
from typing import Any

from fedglmm_secure.study.formula import parse_formula
from fedglmm_secure.study.terms import parse_terms

Result = dict[str, Any]
Term = tuple[frozenset[str], tuple[str, ...]]
"""The categories and the numbers that a term multiplies."""

_CATEGORY = re.compile(r"(?:^|:)([^\[\]:]+)\[")
"""The variable before the level in a coefficient's name, such as ``rx[T.high]:age``."""


def is_nested(smaller: Result, larger: Result) -> bool:
    """Whether every effect of the smaller model lies in the span of the larger one's.

    A term of categories C and numbers N spans, however it is coded, N times any function of C. So it lies in the span
    of a term with the same numbers and at least these categories: the intercept in any term of categories, ``x`` in
    ``x:rx``, ``rx`` in ``rx:sex``. Random terms that may be correlated must stand within one bracket of the larger
    model. A number that is a combination of others is not recognised.
    """
    categories = frozenset(_categories(smaller) | _categories(larger))
    small, large = (parse_formula(fit["model"]["formula"]) for fit in (smaller, larger))
    if small.response != large.response or not _spans(_terms(large.fixed, categories), _terms(small.fixed, categories)):
        return False
    brackets = [(term.group, _terms(term.text, categories)) for term in large.random]
    return all(
        any(term.group == group and _spans(terms, _terms(term.text, categories)) for group, terms in brackets)
        for term in small.random
    )


def _categories(fit: Result) -> set[str]:
    names = [effect["name"] for effect in fit["fixed_effects"]]
    names += [term for effect in fit["random_effects"] for term in effect["terms"]]
    return {variable for name in names for variable in _CATEGORY.findall(name)}


def _terms(text: str, categories: frozenset[str]) -> list[Term]:
    return [
        (categories.intersection(term.factors), tuple(sorted(set(term.factors) - categories)))
        for term in parse_terms(text)
    ]


def _spans(terms: list[Term], others: list[Term]) -> bool:
    return all(
        any(numbers == other_numbers and among <= categories for categories, numbers in terms)
        for among, other_numbers in others
    )
