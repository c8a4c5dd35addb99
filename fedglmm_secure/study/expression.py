"""Arithmetic inside a formula, such as ``I(age**2)`` or ``log(weight)``: checked, then evaluated here.

A formula is written at one institution and run at others, and the formula library would hand such an
expression to Python's ``eval``. So it never sees one: expressions are parsed to a syntax tree, every node is
checked against the short list below, and the tree is evaluated by this module. What is not on the list cannot
run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import NoReturn

import numpy as np

from fedglmm_secure.errors import InputError
from fedglmm_secure.ring import Vector

FUNCTIONS: Mapping[str, Callable[[Vector], Vector]] = {
    "I": lambda x: x,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "sqrt": np.sqrt,
}
"""The functions a formula may call, all of them row by row."""

_OPERATORS: Mapping[type[ast.operator], Callable[[Vector, Vector], Vector]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}

_SCALING = "write the constants out, as in `I((age - 50) / 10)`"
_SPLINES = "write powers out, as in `age + I(age**2)`"
_DATA_DEPENDENT = {
    **dict.fromkeys(("scale", "center", "standardize"), _SCALING),
    **dict.fromkeys(("poly", "bs", "cs", "cr", "cc", "te"), _SPLINES),
    "hashed": "declare the levels of the variable instead",
    "lag": "put the earlier value into a column of its own",
}
_CATEGORICAL = dict.fromkeys(("C", "factor", "contr", "Treatment", "Sum"), None)
_LARGEST_CONSTANT = 1e300


def parse_expression(text: str) -> ast.expr:
    """The checked syntax tree of ``text``; raises InputError for anything but arithmetic on variables."""
    try:
        tree = ast.parse(text, mode="eval").body
        _check(tree, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"model.formula: `{text}` is not an arithmetic expression; correct it") from None
    return tree


def variables_of(tree: ast.expr) -> tuple[str, ...]:
    """Names of the variables in a checked tree, each once, in order of appearance."""
    if isinstance(tree, ast.Name):
        return (tree.id,)
    parts = tree.args if isinstance(tree, ast.Call) else ast.iter_child_nodes(tree)
    return tuple(dict.fromkeys(name for part in parts if isinstance(part, ast.expr) for name in variables_of(part)))


def evaluate(tree: ast.expr, columns: Mapping[str, Vector]) -> Vector:
    """The value of a checked tree, row by row; not finite where the arithmetic is undefined."""
    with np.errstate(all="ignore"):
        return _value(tree, columns)


def _value(tree: ast.expr, columns: Mapping[str, Vector]) -> Vector:
    match tree:
        case ast.Name(id=name):
            return columns[name]
        case ast.Constant(value=int() | float() as number):
            return np.asarray(float(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, columns)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, columns)
        case ast.BinOp(left=left, op=operator, right=right):
            return _OPERATORS[type(operator)](_value(left, columns), _value(right, columns))
        case ast.Call(func=ast.Name(id=function), args=[argument]):
            return FUNCTIONS[function](_value(argument, columns))
    raise AssertionError("an expression that was not checked")


def _check(tree: ast.expr, text: str) -> None:
    match tree:
        case ast.Name():
            return
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            if abs(number) > _LARGEST_CONSTANT:
                raise InputError(f"model.formula: `{text}` holds a number that is too large; use a smaller one")
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, text)
        case ast.BinOp(op=ast.BitXor()):
            raise InputError(
                f"model.formula: in `{text}` the sign ^ is not a power; write `**`, as in `I(age**2)` or `{{age**2}}`"
            )
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            _check(left, text)
            _check(right, text)
        case ast.Call(func=ast.Name(id=function), args=[argument], keywords=[]) if function in FUNCTIONS:
            _check(argument, text)
        case ast.Call(func=ast.Name(id=function)):
            _refuse_call(function, text)
        case _:
            raise InputError(
                f"model.formula: `{text}` is not allowed; a formula may hold variables, numbers, + - * / ** "
                f"and the functions {', '.join(sorted(FUNCTIONS))}"
            )


def _refuse_call(function: str, text: str) -> NoReturn:
    if function in FUNCTIONS:
        raise InputError(f"model.formula: in `{text}`, `{function}` takes exactly one argument")
    if function in _DATA_DEPENDENT:
        raise InputError(
            f"model.formula: `{function}` looks at the data and would differ between sites; {_DATA_DEPENDENT[function]}"
        )
    if function in _CATEGORICAL:
        raise InputError(
            f'model.formula: `{function}` is not needed; declare the variable with type = "categorical" and '
            "its levels, the reference first"
        )
    raise InputError(
        f"model.formula: `{function}` is not a function of the formula language; use {', '.join(sorted(FUNCTIONS))}"
    )
