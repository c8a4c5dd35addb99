"""Adaptive Gauss-Hermite quadrature for several correlated random terms: K^q nodes, a tensor product.

The gradient is exact; the Hessian is its central difference of fourth order, which is computed inside the site and
costs no message. Symbols as in ``laplace``; nodes are b_k = v^ + C c_k with C C' = M and c_k = sqrt(2) x_k.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.groups import Block
from fedglmm_secure.model.laplace import Mode, Tensor
from fedglmm_secure.model.quadrature import Rule
from fedglmm_secure.ring import Vector

STEP = 1e-3
"""In standardised parameters: the truncation of order step^4 and the rounding of order 1e-13 / step are both 1e-11."""


def tensor_derivatives(block: Block, family: Family, theta: Vector, pattern: Pattern, rule: Rule) -> Derivatives:
    """log-likelihood, gradient and Hessian in theta = (beta, tau) of one block's groups, summed."""

    def gradient(at: Vector) -> Vector:
        return _value_and_gradient(block, family, at, pattern, rule)[1]

    value, exact = _value_and_gradient(block, family, theta, pattern, rule)
    hessian = _differences(gradient, theta)
    return Derivatives(value, exact, (hessian + hessian.T) / 2.0)


def _value_and_gradient(
    block: Block, family: Family, theta: Vector, pattern: Pattern, rule: Rule
) -> tuple[float, Vector]:
    p, (a, b) = block.x.shape[1], pattern.entries
    at = Mode.find(block, family, theta[:p], pattern.factor(theta[p:]), pattern)
    offsets = np.array(list(product(rule.offsets, repeat=pattern.q)))
    log_weights = np.array([sum(weights) for weights in product(rule.log_weights, repeat=pattern.q)])
    C = np.asarray(np.linalg.cholesky(at.M), dtype=np.float64)
    nodes = at.v + np.einsum("gij,kj->kgi", C, offsets)
    eta = at.fixed + np.einsum("ni,kni->kn", at.s, np.repeat(nodes, block.sizes, axis=1))
    density, l1, _ = family.derivatives(eta, block.y, block.weights, 2)
    # g(v^) is the maximum of g: relative to it no exponent is above its weight's, so nothing can overflow
    terms = np.exp(log_weights[:, None] + block.sums(density) - 0.5 * np.sum(nodes * nodes, axis=2) - at.g)
    total = terms.sum(axis=0)
    pi = terms / total
    value = float(np.sum(at.g + np.log(total) + np.linalg.slogdet(C)[1]))
    z_l1 = np.stack([block.sums(z * l1) for z in block.z.T], axis=2)
    g_v = z_l1 @ at.Lambda - nodes
    C_t = _cholesky_derivative(C, at.H_t)
    gradient = -0.5 * np.einsum("gij,gijt->t", at.M, at.H_t)
    gradient += np.einsum("kg,kgi,git->t", pi, g_v, at.v_t, optimize=True)
    gradient += np.einsum("kg,kgi,kj,gijt->t", pi, g_v, offsets, C_t, optimize=True)
    gradient[:p] += np.einsum("kn,kn->n", block.spread(pi), l1) @ block.x
    gradient[p:] += np.einsum("kg,kgt,kgt->t", pi, z_l1[:, :, a], nodes[:, :, b], optimize=True)
    return value, gradient


def _cholesky_derivative(C: Tensor, H_t: Tensor) -> Tensor:
    """The derivative of C, where C C' = H^-1: -C Phi(C' H_t C), Phi being the lower triangle with half its diagonal."""
    inner = np.einsum("gia,gijt,gjb->gabt", C, H_t, C, optimize=True)
    lower = np.tril(np.ones(C.shape[1:])) - 0.5 * np.eye(C.shape[1])
    return np.asarray(-np.einsum("gia,gabt->gibt", C, inner * lower[:, :, None]))


def _differences(function: Callable[[Vector], Vector], theta: Vector) -> Matrix:
    rows = []
    for unit in np.eye(len(theta)) * STEP:
        near = function(theta + unit) - function(theta - unit)
        far = function(theta + 2.0 * unit) - function(theta - 2.0 * unit)
        rows.append((8.0 * near - far) / (12.0 * STEP))
    return np.array(rows)
