"""The formula ``response ~ fixed + (terms | group)``: split into its parts, each part checked.

The fixed part and the terms before a bar are written in formulaic's language; the bars are ours, as in lme4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fedglmm_secure.errors import InputError
from fedglmm_secure.study.terms import parse_terms

SITE = "site"
"""The grouping variable that needs no column: the site itself."""

NAME = re.compile(r"[^\W\d][\w.]*(?: [\w.]+)*")
"""A variable's name; one with spaces stands in backticks in a formula."""

_MAX_LENGTH = 2000


@dataclass(frozen=True)
class RandomTerm:
    """One ``(intercept + slopes | group)``."""

    intercept: bool
    slopes: tuple[str, ...]
    group: str
    text: str
    """The terms before the bar, as they are written."""


@dataclass(frozen=True)
class Formula:
    """A mixed-model formula in its parts."""

    response: str
    fixed: str
    random: tuple[RandomTerm, ...]


def parse_formula(text: str) -> Formula:
    """The parts of a formula; InputError, naming ``model.formula``, when it does not make a mixed model."""
    if len(text) > _MAX_LENGTH or not text.isprintable():
        raise _problem(f"must be at most {_MAX_LENGTH} printable characters on one line")
    response, tilde, right = text.partition("~")
    if not tilde:
        raise _problem("has no `~`; write it as `outcome ~ age + (1 | site)`")
    if "~" in right:
        raise _problem("has more than one `~`; keep one, between the outcome and the terms")
    if not right.strip():
        raise _problem("has nothing after `~`; write it as `outcome ~ age + (1 | site)`")
    parts = list(_summands(right))
    fixed = " + ".join(part for part in parts if "|" not in part) or "1"
    parse_terms(fixed)
    return Formula(
        response=_variable(response, "the outcome before `~`"),
        fixed=fixed,
        random=tuple(_random_term(part) for part in parts if "|" in part),
    )


def without_spaces(text: str) -> str:
    """The formula without the white space that means nothing, which is all of it outside backticks."""
    parts = text.split("`")
    return "`".join(part if quoted % 2 else "".join(part.split()) for quoted, part in enumerate(parts))


def _summands(text: str) -> Iterator[str]:
    """The parts of ``text`` between the plus signs that stand outside brackets and backticks."""
    depth, start, quoted = 0, 0, False
    for position, char in enumerate(text):
        if char == "`":
            quoted = not quoted
        if quoted:
            continue
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            raise _problem(f"closes a bracket that was not opened, at `{text[start : position + 1].strip()}`")
        if char == "+" and depth == 0:
            yield _summand(text[start:position])
            start = position + 1
    if depth or quoted:
        raise _problem(f"opens a bracket or backtick that is not closed, at `{text[start:].strip()}`")
    yield _summand(text[start:])


def _summand(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise _problem("has a `+` with nothing on one side; remove it")
    return text


def _random_term(text: str) -> RandomTerm:
    """The parts of ``(terms | group)``, which must be all of ``text``."""
    if "||" in text:
        raise _problem(f"`{text}`: `||` is not supported; write `(1 | g) + (0 + x | g)` for uncorrelated terms")
    inside = text.removeprefix("(").removesuffix(")")
    terms, _, group = inside.partition("|")
    if len(inside) != len(text) - 2 or "|" in group or not _balanced(terms):
        raise _problem(f"`{text}` is not a random term; write it as `(1 | g)` on its own, added with `+`")
    if not terms.strip():
        raise _problem(f"`{text}` has nothing before the bar; write `(1 | {group.strip()})`")
    parsed = parse_terms(terms)
    if not parsed:
        raise _problem(f"`{text}` has no random term; write `(1 | {group.strip()})`")
    return RandomTerm(
        intercept=any(term.is_constant for term in parsed),
        slopes=tuple(term.text for term in parsed if not term.is_constant),
        group=_variable(group, f"the group in `{text}`"),
        text=terms.strip(),
    )


def _balanced(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return False
    return depth == 0


def _variable(text: str, what: str) -> str:
    name = text.strip()
    if name.startswith("`") and name.endswith("`"):
        name = name[1:-1]
    elif " " in name:
        raise _problem(f"{what} must be one variable, not `{name}`")
    if not NAME.fullmatch(name):
        raise _problem(f"{what} must be one variable, not `{name}`; make it a column of the table")
    return name


def _problem(sentence: str) -> InputError:
    return InputError(f"model.formula: {sentence}")
