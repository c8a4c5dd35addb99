"""Penalised quasi-likelihood: a linear mixed model for the working response (Breslow and Clayton 1993, JASA 88:9).

The fixed point is that of MASS::glmmPQL: at theta the modes are found, the working response zeta = eta + l'/W with
weights W = -l'' is formed, and the derivatives at theta are those of the weighted linear mixed model for zeta, whose
residual scale phi is free. All is in Design's form for the Gaussian family, where beta and Lambda are relative to phi.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Design, Matrix
from fedglmm_secure.model.family import FAMILIES, Family
from fedglmm_secure.model.groups import Block, blocks
from fedglmm_secure.model.laplace import laplace_derivatives
from fedglmm_secure.model.modes import conditional_modes
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector


def linearised_derivatives(
    design: Design, units: Units, family: Family, pattern: Pattern, theta: Vector
) -> Derivatives:
    """log-likelihood (without n log psi), gradient and Hessian at theta = (beta, psi, tau), linearised at theta."""
    p = len(units.columns)
    beta, Lambda = theta[:p] / theta[p], pattern.factor(theta[p + 1 :])
    nothing = Derivatives.zero(len(theta))
    pieces = (working_block(block, family, beta, block.z @ Lambda) for block in blocks(design, units))
    return reduce(add, (laplace_derivatives(piece, FAMILIES["gaussian"], theta, pattern) for piece in pieces), nothing)


def working_block(block: Block, family: Family, beta: Vector, s: Matrix) -> Block:
    """The block as a linear mixed model's: the working response as last column, its weights, and no offset."""
    fixed = block.offset + block.x @ beta
    v = conditional_modes(block, family, fixed, s)
    eta = fixed + np.sum(s * block.spread(v.T).T, axis=1)
    _, first, second = family.derivatives(eta, block.y, block.weights, 2)
    # a weight that underflows to 0 leaves its row without a say, whatever its working response
    response = eta - block.offset - np.divide(first, second, out=np.zeros_like(first), where=second != 0.0)
    nothing = np.zeros_like(response)
    return replace(block, x=np.column_stack([block.x, -response]), y=nothing, offset=nothing, weights=-second)
