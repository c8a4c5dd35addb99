"""From a question to this site's vector: pure functions of the question, the study's layout and the site's rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.derivatives import pack_symmetric
from fedglmm_secure.model.design import Design, Layout
from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.model.likelihood import log_likelihood
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
    units = description.units(layout, question.columns)
    theta, pattern = np.array(question.theta), Pattern(layout.blocks)
    total = log_likelihood(design, units, FAMILIES[layout.family], pattern, theta, question.nodes)
    return replace(total, value=total.value + design.constant).pack()
