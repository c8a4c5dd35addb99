"""From a question to this site's vector: pure functions of the question, the study's layout and the site's rows."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np

from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Design, Layout, Matrix
from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.model.groups import blocks
from fedglmm_secure.model.quadrature import Rule, marginal_derivatives
from fedglmm_secure.model.questions import Describe, MarginalDerivatives, Question
from fedglmm_secure.model.working import working_model
from fedglmm_secure.ring import Vector


def answer(question: Question, layout: Layout, design: Design) -> Vector:
    """This site's share of the answer, one number for each of ``question.slots(layout)``."""
    match question:
        case Describe():
            return _describe(layout, design)
        case MarginalDerivatives():
            return _marginal(question, layout, design)


def pack_symmetric(matrix: Matrix) -> Vector:
    """The upper triangle of a symmetric matrix, row by row: (P, P) to (P(P+1)/2,)."""
    return matrix[np.triu_indices(matrix.shape[0])]


def unpack_symmetric(vector: Vector, size: int) -> Matrix:
    """The inverse of ``pack_symmetric``."""
    matrix = np.empty((size, size))
    rows, columns = np.triu_indices(size)
    matrix[rows, columns] = matrix[columns, rows] = vector
    return matrix


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
    for quadratic in working_model(layout, design):
        parts += [np.array([quadratic.constant]), quadratic.slope, pack_symmetric(quadratic.curvature)]
    return np.concatenate(parts)


def _marginal(question: MarginalDerivatives, layout: Layout, design: Design) -> Vector:
    description = Description.unpack(np.array(question.description), layout)
    units = description.standardisation(layout, question.columns)
    theta, rule, family = np.array(question.theta), Rule.of(question.nodes), FAMILIES[layout.family]
    total = reduce(
        add,
        (
            marginal_derivatives(block, family, theta, rule)
            for block in blocks(design, list(units.columns), units.centre, units.scale)
        ),
    )
    return np.concatenate([[total.value], total.gradient, pack_symmetric(total.hessian)])
