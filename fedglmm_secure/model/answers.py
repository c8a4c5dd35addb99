"""From a question to this site's vector: pure functions of the question, the study's layout and the site's rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives, pack_symmetric
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Design, Layout
from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.model.groups import blocks
from fedglmm_secure.model.likelihood import log_likelihood
from fedglmm_secure.model.modes import conditional_modes
from fedglmm_secure.model.pql import linearised_derivatives
from fedglmm_secure.model.questions import (
    ALL,
    VALIDATION,
    Describe,
    HeldOutLikelihood,
    MarginalDerivatives,
    Question,
    WorkingDerivatives,
)
from fedglmm_secure.model.units import Units
from fedglmm_secure.model.working import working_model
from fedglmm_secure.ring import Vector

DECIDED = 15.0
"""A linear predictor beyond which a row has a weight below e^-15 and is, in effect, a constant."""


def part_of(question: Question) -> str:
    """Which of a site's rows answer a question."""
    match question:
        case MarginalDerivatives():
            return question.part
        case HeldOutLikelihood():
            return VALIDATION
        case _:
            return ALL


@contextmanager
def _at_any_parameters() -> Iterator[None]:
    """Numbers that overflow are refused by name before they are sent (ring.py): there is nothing to warn of."""
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            yield
    except np.linalg.LinAlgError:
        raise FitError(
            "the parameters that the coordinator asks about are out of all range: no number comes of them; narrow the "
            "declared ranges, or look for an outlier in a covariate"
        ) from None


@_at_any_parameters()
def answer(question: Question, layout: Layout, design: Design) -> Vector:
    """This site's share of the answer, one number for each of ``question.slots(layout)``.

    ``design`` holds the rows of ``part_of(question)``; it may be without any. Raises FitError at parameters so far out
    that a matrix is singular; numbers that overflow are infinite or NaN, which nothing sends.
    """
    match question:
        case Describe():
            return _describe(layout, design)
        case MarginalDerivatives():
            return _marginal(question, layout, design)
        case HeldOutLikelihood():
            return _held_out(question, layout, design)
        case WorkingDerivatives():
            return _working(question, layout, design)


@dataclass(frozen=True)
class Footing:
    """What an answer rests on, at the least favourable of the question's parameters."""

    rows: float
    """Effective number of rows: (sum w)^2 / sum w^2 for the weights w = -l''."""
    rows_at_zero: float
    """The same at parameters of zero: rows differ by their offsets and prior weights alone."""
    weight: float
    """The sum of w relative to that at parameters of zero."""
    far: float
    """Share of rows whose linear predictor, but not their offset, is so far out that they are as good as decided."""


@_at_any_parameters()
def footing(question: Question, layout: Layout, design: Design) -> Footing | None:
    """On how many rows a site's answer rests; None where weights do not depend on parameters (Gaussian, Describe).

    Looked at for the fixed effects alone, and at the groups' conditional modes, where the answer's weights are taken.
    """
    if layout.family == "gaussian" or isinstance(question, Describe):
        return None
    p, family, pattern = len(question.columns), FAMILIES[layout.family], Pattern(layout.blocks)
    thetas = question.thetas if isinstance(question, HeldOutLikelihood) else (question.theta,)
    psi = question.theta[p] if isinstance(question, WorkingDerivatives) else 1.0
    sums = np.zeros((2 * len(thetas) + 1, 3))
    for block in blocks(design, _units(question, layout)):
        etas = [np.zeros(block.y.shape)]
        for theta in np.array(thetas):
            fixed, s = block.x @ (theta[:p] / psi), block.z @ pattern.factor(theta[len(theta) - pattern.size :])
            v = conditional_modes(block, family, block.offset + fixed, s)
            etas += [fixed, fixed + np.sum(s * block.spread(v.T).T, axis=1)]
        eta = np.array(etas)
        eta += block.offset
        weights = -family.derivatives(eta, block.y, block.weights, 2)[2]
        decided = (np.abs(eta) > DECIDED) & (np.abs(block.offset) <= DECIDED)
        sums += np.stack([weights.sum(1), (weights * weights).sum(1), decided.sum(1)], axis=1)
    total, squares, far = sums.T
    effective = np.divide(total * total, squares, out=np.zeros_like(total), where=squares > 0.0)
    return Footing(
        float(effective[1:].min()),
        float(effective[0]),
        float(total[1:].min() / total[0]),
        float(far.max()) / design.rows,
    )


def _describe(layout: Layout, design: Design) -> Vector:
    x = (design.x - np.array(layout.centre)) / np.array(layout.half)
    products = x.T @ x
    head = Description(
        rows=design.rows,
        dropped=design.dropped,
        groups=design.groups,
        level_counts=design.level_counts,
        sums=x.sum(axis=0),
        squares=np.diag(products),
    )
    parts = [head.vector(), pack_symmetric(products)]
    parts += [expansion.pack() for expansion in working_model(layout, design)]
    return np.concatenate(parts)


def _marginal(question: MarginalDerivatives, layout: Layout, design: Design) -> Vector:
    return _log_likelihood(question, layout, design, np.array(question.theta)).pack()


def _held_out(question: HeldOutLikelihood, layout: Layout, design: Design) -> Vector:
    thetas = map(np.array, question.thetas)
    values = [_log_likelihood(question, layout, design, theta).value for theta in thetas]
    return np.array([design.rows, *values])


def _log_likelihood(
    question: MarginalDerivatives | HeldOutLikelihood, layout: Layout, design: Design, theta: Vector
) -> Derivatives:
    """With its constant and, for the Gaussian family, n log psi: the Jacobian of the division by phi (see Design)."""
    units, pattern = _units(question, layout), Pattern(layout.blocks)
    total = log_likelihood(design, units, FAMILIES[layout.family], pattern, theta, question.nodes)
    total = replace(total, value=total.value + design.constant)
    if layout.family != "gaussian":
        return total
    return scaling(total, theta, len(units.columns) - 1, float(units.scale[-1]), design.rows)


def _working(question: WorkingDerivatives, layout: Layout, design: Design) -> Vector:
    units, theta = _units(question, layout), np.array(question.theta)
    total = linearised_derivatives(design, units, FAMILIES[layout.family], Pattern(layout.blocks), theta)
    return scaling(total, theta, len(units.columns), 1.0, design.rows).pack()


def scaling(total: Derivatives, theta: Vector, position: int, scale: float, rows: int) -> Derivatives:
    """Add rows * log(theta[position] / scale)."""
    inverse = 1.0 / theta[position]
    unit = np.zeros(len(theta))
    unit[position] = 1.0
    return total + Derivatives(
        -rows * float(np.log(scale * inverse)), rows * inverse * unit, -rows * inverse**2 * np.outer(unit, unit)
    )


def _units(question: MarginalDerivatives | HeldOutLikelihood | WorkingDerivatives, layout: Layout) -> Units:
    return Description.unpack(np.array(question.description), layout).units(layout, question.columns)
