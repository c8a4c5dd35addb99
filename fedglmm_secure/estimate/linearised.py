"""Penalised quasi-likelihood as a generator of questions: dPQL's job (Luo et al. 2022), with glmmPQL's fixed point."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.newton import Asked, Maximum, Trace
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.start import Start
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.questions import Question, WorkingDerivatives
from fedglmm_secure.ring import Vector

LONGEST_STEP = 2.0
"""In standardised parameters."""


def fixed_point(objective: Objective, start: Start, asked: Asked, trace: Trace) -> Generator[Question, Vector, Maximum]:
    """Solve gradient(theta; linearised at theta) = 0 for theta = (beta, psi, tau).

    Each round linearises anew, at theta itself, and takes one Newton step of the linear mixed model: no objective is
    being maximised, so there is nothing to accept or reject. The rounds converge linearly. Converged when the step is
    below the root of 2 ``tolerance`` standard errors, as elsewhere. Raises FitError after ``max_rounds``.
    """
    p, pattern = len(start.units.columns), Pattern(objective.layout.blocks)
    theta = np.concatenate([start.theta[:p], [1.0], start.theta[p:]])
    description = tuple(start.description.vector().tolist())
    for _ in range(asked.max_rounds):
        question = WorkingDerivatives(tuple(theta.tolist()), start.units.columns, description)
        total = yield question
        here = Derivatives.unpack(total, len(theta))
        step = np.linalg.solve(_negative_definite(here.hessian), -here.gradient)
        decrement = abs(float(step @ here.gradient)) / 2.0
        trace.record(question, total, None, decrement)
        if decrement <= asked.tolerance:
            return Maximum(objective, theta, here, here)
        step *= min(1.0, LONGEST_STEP / float(np.linalg.norm(step)))
        theta = theta + step
        theta[p] = max(theta[p], 0.1 * (theta[p] - step[p]))
        theta[p + 1 :] = pattern.with_positive_diagonal(theta[p + 1 :])
    raise FitError(
        f"penalised quasi-likelihood did not converge in {asked.max_rounds} rounds; raise model.max_rounds, or use "
        'method = "laplace", which maximises a likelihood'
    )


def _negative_definite(hessian: Matrix) -> Matrix:
    """The Hessian with its eigenvalues made negative: far out the linear mixed model need not be concave in tau."""
    values, vectors = np.linalg.eigh(hessian)
    smallest = 1e-8 * float(np.abs(values).max())
    return np.asarray((vectors * -np.maximum(np.abs(values), smallest)) @ vectors.T)
