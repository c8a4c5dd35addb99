"""The sum of terms on the right of a formula, and the design columns they make.

This is the only place that knows formulaic, which expands ``a * b``, codes categories, keeps the design at
full rank and names the columns. It is handed plain columns only (see ``expression``): it evaluates nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec  # type: ignore[import-untyped]
from formulaic.errors import FormulaicError  # type: ignore[import-untyped]
from formulaic.materializers import PandasMaterializer  # type: ignore[import-untyped]
from formulaic.parser import DefaultFormulaParser  # type: ignore[import-untyped]
from formulaic.parser.types import ASTNode, Factor, Term, Token  # type: ignore[import-untyped]

from fedglmm_secure.errors import InputError
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.expression import evaluate, parse_expression, variables_of

MAX_TERMS = 200
"""Formulas grow fast when expanded: this bounds the work; 200 coefficients are 20,000 numbers a sum."""

_PARSER = DefaultFormulaParser(feature_flags=DefaultFormulaParser.FeatureFlags.NONE)


@dataclass(frozen=True)
class ModelTerm:
    """One term of a formula, such as ``age:log(risk)``; the constant term has no factors."""

    term: Any

    @property
    def text(self) -> str:
        """The term as formulaic writes it."""
        return str(self.term)

    @property
    def is_constant(self) -> bool:
        """Whether this is the intercept."""
        return not self.factors

    @cached_property
    def factors(self) -> tuple[str, ...]:
        """The variables and expressions that are multiplied."""
        return tuple(f.expr for f in self.term.factors if f.eval_method is Factor.EvalMethod.LOOKUP)

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables in the term, each once, in order of appearance."""
        return tuple(dict.fromkeys(name for text in self.factors for name in factor_variables(text)))


def parse_terms(text: str) -> tuple[ModelTerm, ...]:
    """The expanded terms of ``text``, with the intercept unless it is taken out; raises InputError."""
    if "|" in text or "~" in text:
        raise InputError(f"model.formula: in `{text}` a bar or tilde is out of place; random terms are `(1 | g)`")
    try:
        tokens = list(_PARSER.get_tokens(text))
        for token in tokens:
            _check_token(token, text)
        tree = _PARSER.get_ast(text)
        if _expanded(tree) > MAX_TERMS:
            raise InputError(f"model.formula: `{text}` expands to more than {MAX_TERMS} terms; simplify it")
        terms = list(_PARSER.get_terms(text))
    except InputError:
        raise
    except Exception as error:  # malformed text makes formulaic's parser fail in many ways; here all mean one
        raise InputError(f"model.formula: `{text}` cannot be read as a sum of terms{_reason(error)}") from None
    return tuple(ModelTerm(Term([_plain(factor) for factor in term.factors])) for term in terms)


def factor_variables(text: str) -> tuple[str, ...]:
    """Names of the variables in one factor: the factor itself when it is a plain variable."""
    return variables_of(parse_expression(text)) if is_expression(text) else (text,)


def is_expression(text: str) -> bool:
    """Whether a factor is arithmetic rather than the name of a variable (names hold no signs or brackets)."""
    return any(not (char.isalnum() or char in "_. ") for char in text)


@dataclass(frozen=True)
class Columns:
    """The design columns of some terms, fixed on a reference table so that every table gives the same."""

    terms: tuple[ModelTerm, ...]
    spec: Any

    @classmethod
    def on(cls, terms: tuple[ModelTerm, ...], reference: pd.DataFrame) -> Columns:
        """Let formulaic decide the coding on ``reference``, where every declared level occurs."""
        formula = Formula([term.term for term in terms])
        spec = ModelSpec(formula=formula, output="numpy", na_action="ignore")
        matrix = PandasMaterializer(_columns(reference, terms)).get_model_matrix(spec)
        return cls(terms, matrix.model_spec)

    @property
    def names(self) -> tuple[str, ...]:
        """Formulaic's names of the columns, in order."""
        return tuple(self.spec.column_names)

    def matrix(self, table: pd.DataFrame) -> Matrix:
        """The columns for the rows of ``table``, shape (rows, columns)."""
        data = _columns(table, self.terms)
        return np.asarray(PandasMaterializer(data).get_model_matrix(self.spec), dtype=np.float64)


def _columns(table: pd.DataFrame, terms: Iterable[ModelTerm]) -> pd.DataFrame:
    """``table`` with a column for each expression, named by its text: formulaic only ever looks a name up."""
    return table.assign(**expression_values(table, terms))


def expression_values(table: pd.DataFrame, terms: Iterable[ModelTerm]) -> dict[str, Vector]:
    """The value of each expression in ``terms`` for the rows of ``table``, by its text."""
    texts = dict.fromkeys(factor for term in terms for factor in term.factors if is_expression(factor))
    values = {}
    for text in texts:
        columns = {name: table[name].to_numpy(dtype=np.float64) for name in factor_variables(text)}
        values[text] = np.broadcast_to(evaluate(parse_expression(text), columns), len(table)).copy()
    return values


def _check_token(token: Any, text: str) -> None:
    if token.kind is Token.Kind.PYTHON:
        parse_expression(token.token)
    elif token.kind is Token.Kind.NAME and is_expression(token.token):
        raise InputError(f"model.formula: `{token.token}` is not the name of a variable; rename the column")
    elif str(token) in ("[", "]"):
        raise InputError(f"model.formula: in `{text}` square brackets have no meaning; use round ones")
    elif str(token) == ".":
        raise InputError("model.formula: `.` would mean every column of a table; name the variables instead")
    elif token.kind is Token.Kind.VALUE and not token.token.replace(".", "", 1).isdecimal():
        raise InputError(f"model.formula: {token.token} in `{text}` is text; a formula holds variables and numbers")


def _plain(factor: Any) -> Any:
    """The factor as a look-up of a column, so that formulaic evaluates nothing."""
    if factor.eval_method is Factor.EvalMethod.LITERAL:
        return factor
    return Factor(factor.expr, eval_method=Factor.EvalMethod.LOOKUP)


def _expanded(tree: Any) -> int:
    """An upper bound on the number of terms that a formula's syntax tree expands to."""
    if not isinstance(tree, ASTNode):
        return 1
    sizes = [_expanded(part) for part in tree.args]
    match str(tree.operator), sizes:
        case ("*", [left, right]):
            return left + right + left * right
        case (":" | "/" | "in", [left, right]):
            return left * right + left
        case ("**" | "^", [base, _]):
            return int(min(float(base) ** _exponent(tree.args[1]), MAX_TERMS + 1))
        case _:
            return sum(sizes)


def _exponent(token: Any) -> int:
    text = str(getattr(token, "token", token))
    if not text.isdecimal() or not 1 <= int(text) <= 9:
        raise InputError(f"model.formula: the power `{text}` of terms must be a whole number from 1 to 9")
    return int(text)


def _reason(error: Exception) -> str:
    """Formulaic's own first sentence, where there is one, without its coloured copy of the formula."""
    if not isinstance(error, FormulaicError):
        return ""
    return f" ({str(error).splitlines()[0].rstrip('.')})"
