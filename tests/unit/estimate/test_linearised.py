"""Penalised quasi-likelihood alone: its way from a bad start, and estimates that run away told from slow ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure import Study
from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.estimate.linearised import Course, fixed_point
from fedglmm_secure.estimate.newton import Maximum, Trace, describe
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.model.answers import answer
from fedglmm_secure.model.derivatives import Derivatives


@dataclass(frozen=True)
class Asked:
    nodes: int = 1
    tolerance: float = 1e-10
    max_rounds: int = 50


def counts(random: str) -> tuple[Study, pd.DataFrame]:
    """Counts of 24 groups, of different means and slopes."""
    rng = np.random.default_rng(6)
    g, x = np.arange(480) % 24, rng.normal(size=480).clip(-4, 4)
    eta = 0.5 + (0.3 + 0.3 * rng.normal(size=24)[g]) * x + 0.5 * rng.normal(size=24)[g]
    data = {
        "study": {"id": "counts"},
        "model": {"formula": f"y ~ x + {random}", "family": "poisson", "method": "pql"},
        "variables": {"y": {"type": "count"}, "x": {"type": "numeric", "range": [-4.0, 4.0]}, "g": {"type": "group"}},
    }
    return Study.from_dict(data, "counts"), pd.DataFrame({"x": x, "y": rng.poisson(np.exp(eta)), "g": g})


def solved(study: Study, frame: pd.DataFrame, scale: float) -> Maximum:
    """The fixed point from the usual start, Lambda multiplied by ``scale``."""
    design = study.pooled_design(frame, "counts")
    trace = Trace(lambda _: None)

    def questions():
        start = yield from describe(study.layout, trace)
        p = len(start.units.columns)
        start = replace(start, theta=np.append(start.theta[:p], scale * start.theta[p:]))
        return (yield from fixed_point(Objective(study.layout, start.units, working=True), start, Asked(), trace))

    generator = questions()
    question = next(generator)
    try:
        while True:
            question = generator.send(answer(question, study.layout, design))
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("random", ["(1 | g)", "(1 + x | g)"])
@pytest.mark.parametrize("scale", [0.0, 3.0])
def test_the_start_does_not_matter(random: str, scale: float) -> None:
    study, frame = counts(random)
    expected, found = solved(study, frame, 1.0), solved(study, frame, scale)
    errors = np.sqrt(np.diag(np.linalg.inv(-expected.penalised.hessian)))
    assert np.abs((found.theta - expected.theta) / errors).max() < 1e-8
    assert expected.theta[-1] > 0.1


def test_sums_that_no_rows_give_end_in_an_error_of_the_fit() -> None:
    """They ended in "the coordinator failed (LinAlgError)", which tells the operator nothing."""
    study, frame = counts("(1 | g)")
    fit = estimator(study, lambda _: None)
    question = fit.send(answer(next(fit), study.layout, study.pooled_design(frame, "counts")))
    with pytest.raises(FitError, match="the sums are out of all range: no step follows from them"):
        fit.send(np.zeros(len(question.slots(study.layout))))


@pytest.mark.parametrize("seed", [4, 20])
def test_no_fit_ends_where_a_columns_rows_have_lost_their_weight(seed: int) -> None:
    """Accelerated, the rounds came to rest at rate ratios of e^-46 and e^-31, with errors that were no numbers."""
    rng = np.random.default_rng(seed)
    groups, size = int(rng.choice([6, 20, 60])), int(rng.choice([4, 10]))
    g = np.repeat(np.arange(groups), size)
    x, none = rng.normal(size=g.size), (rng.random(g.size) < 0.3).astype(float)
    sd = float(rng.choice([0.0, 0.5, 2.0, 3.0, 5.0]))
    eta = rng.choice([0.0, 2.0]) + 0.3 * x + sd * rng.normal(size=groups)[g]
    y = np.where(none == 1.0, 0, rng.poisson(np.exp(np.clip(eta, -20.0, 12.0))))
    count, numeric = {"type": "count", "range": [0, 10_000_000]}, {"type": "numeric", "range": [-6.0, 6.0]}
    data = {
        "study": {"id": "counts"},
        "model": {"formula": "y ~ x + none + (1 | g)", "family": "poisson", "method": "pql"},
        "variables": {"y": count, "x": numeric, "none": numeric, "g": {"type": "group"}},
    }
    with pytest.raises(FitError, match="the estimate of none grows"):
        solved(Study.from_dict(data, "counts"), pd.DataFrame({"x": x, "none": none, "y": y, "g": g}), 1.0)


def course(lengths: list[float], decline: float) -> Course:
    """Rounds of these lengths in one direction, the curvature falling to ``decline`` of itself in each."""
    result, at = Course(1), 0.0
    for i, length in enumerate([0.0, *lengths]):
        at += length
        hessian = -np.eye(3) * decline**i
        result.add(np.array([at, 1.0, 0.5]), Derivatives(0.0, np.zeros(3), hessian), 1.0)
    return result


@pytest.mark.parametrize(
    ("lengths", "decline", "expected"),
    [
        ([1.0] * 6, 0.4, True),
        ([0.62, 0.43, 0.33, 0.27, 0.23, 0.20], 0.75, True),
        ([0.7**i for i in range(6)], 0.75, False),  # converges, if slowly
        ([1.0] * 6, 1.0, False),  # weights are no smaller there
        ([1.0] * 5, 0.4, False),  # too early to say
    ],
)
def test_a_runaway_estimate_is_told_from_a_slow_one(lengths: list[float], decline: float, expected: bool) -> None:
    assert course(lengths, decline).runs_away() is expected


def test_rounds_end_where_rounding_keeps_them() -> None:
    rounds = Course(1)
    for decrement, expected in ((1e-3, False), (1e-11, False), (9e-12, True), (1e-17, True)):
        rounds.decrements.append(decrement)
        assert rounds.converged(1e-10, shortened=False) is expected


def test_a_shortened_step_is_no_sign_of_rounding() -> None:
    rounds = Course(1)
    rounds.decrements += [9e-11, 7e-11]
    assert not rounds.converged(1e-10, shortened=True)
    rounds.decrements.append(1e-17)
    assert rounds.converged(1e-10, shortened=True)
