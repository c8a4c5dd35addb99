"""The outcome as its family takes it: response, offset, weights, and what no parameter enters, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, gammaln

from fedglmm_secure.ring import Vector
from fedglmm_secure.study.columns import refuse
from fedglmm_secure.study.plan import Plan

_POSITIVE = ("is not above 0", "are not above 0")
_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True)
class Outcome:
    """Arrays with one number a row, as ``Design`` has them."""

    y: Vector
    offset: Vector
    weights: Vector
    constants: Vector
    """The part of the log-density that no parameter enters."""
    residual: Vector | None = None
    """offset - y, which is the last fixed effect of the Gaussian family."""


def make_outcome(plan: Plan, values: Mapping[str, Vector], source: str) -> Outcome:
    """The outcome of complete rows; TableError for weights, trials or successes that cannot be."""
    model, y = plan.model, values[plan.formula.response]
    offset = values[model.offset] if model.offset else np.zeros(y.size)
    weights = values[model.weights] if model.weights else np.ones(y.size)
    _check_positive(weights, f"{source}: column {model.weights}, the weights")
    if model.family == "gaussian":
        zeros = np.zeros(y.size)
        return Outcome(zeros, zeros, weights, 0.5 * np.log(weights) - _HALF_LOG_2PI, offset - y)
    if model.family == "poisson":
        return Outcome(y, offset, weights, -weights * gammaln(y + 1.0))
    if model.trials is None:
        return Outcome(y, offset, weights, np.zeros(y.size))
    trials = values[model.trials]
    _check_positive(trials, f"{source}: column {model.trials}, the trials")
    beyond = f"above the number of trials in column {model.trials}"
    where = f"{source}: column {plan.formula.response}"
    refuse(y, y > trials, where, (f"is {beyond}", f"are {beyond}"), "correct one of the two columns")
    return Outcome(y / trials, offset, weights * trials, weights * _log_choose(trials, y))


def _check_positive(values: Vector, where: str) -> None:
    refuse(values, values <= 0, where, _POSITIVE, "correct them, or leave the row out")


def _log_choose(n: Vector, k: Vector) -> Vector:
    """The logarithm of the binomial coefficient; exactly 0 for one trial."""
    return np.where((k == 0) | (k == n), 0.0, -np.log1p(n) - betaln(n - k + 1.0, k + 1.0))
