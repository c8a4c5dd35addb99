"""The marginal log-likelihood of a model with one random term, with its exact gradient and Hessian.

Adaptive Gauss-Hermite quadrature (Liu and Pierce 1994, Biometrika 81:624) with K nodes; K = 1 is Laplace. The
derivatives are those of the approximated function itself: modes and scales move with theta. Symbols and equations are
those of docs/mathematics.md, section 2: ``g_vt`` is a derivative of g in v and theta; matrices of group-level vectors
have shape (G, P), the last of the P columns being sigma's; arrays over nodes have shape (K, G) or (K, n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.groups import Block
from fedglmm_secure.model.modes import conditional_modes
from fedglmm_secure.ring import Vector


@dataclass(frozen=True)
class Rule:
    """Gauss-Hermite nodes x_k, as offsets c_k = sqrt(2) x_k, and the logarithms of w_k exp(x_k^2) / sqrt(pi)."""

    offsets: Vector
    log_weights: Vector

    @staticmethod
    def of(nodes: int) -> Rule:
        """The rule with ``nodes`` nodes, both arrays of shape (K,)."""
        x, w = np.polynomial.hermite.hermgauss(nodes)
        return Rule(np.sqrt(2.0) * x, np.log(w) + x * x - 0.5 * np.log(np.pi))


def marginal_derivatives(block: Block, family: Family, theta: Vector, rule: Rule) -> Derivatives:
    """log-likelihood, gradient and Hessian in theta = (beta, sigma) of one block's groups, summed.

    (1) Find the modes and differentiate g there; (2) evaluate g at the nodes around them; (3) average over the nodes;
    (4) collect the Hessian: one weighted cross-product for all rows, outer products of group-level vectors only.
    """
    beta, sigma = theta[:-1], float(theta[-1])
    fixed = block.offset + block.x @ beta
    mode = _Mode.find(block, family, fixed, sigma)
    nodes = _Nodes.around(mode, block, family, fixed, sigma, rule)
    value = float(np.sum(mode.g + nodes.log_mean - 0.5 * np.log(mode.H)))
    gradient = nodes.mean_gradient - 0.5 * mode.H_t / mode.H[:, None]
    return Derivatives(value, gradient.sum(axis=0), _hessian(block, sigma, mode, nodes))


@dataclass(frozen=True)
class _Mode:
    """A block at its conditional modes: v^, H = -g_vv, the derivatives of g and the sums S_m = S z^m l^(m)."""

    v: Vector
    g: Vector
    H: Vector
    l2: Vector
    l3: Vector
    l4: Vector
    S2: Vector
    S3: Vector
    S4: Vector
    g_vvv: Vector
    g_vvvv: Vector
    g_vvt: Matrix
    g_vvvt: Matrix
    v_t: Matrix
    H_t: Matrix
    omega: Vector
    omega_t: Matrix

    @staticmethod
    def find(block: Block, family: Family, fixed: Vector, sigma: float) -> _Mode:
        """Step (1)."""
        z, sums = block.z[:, 0], block.sums
        v = conditional_modes(block, family, fixed, sigma * block.z)[:, 0]
        density, l1, l2, l3, l4 = family.derivatives(fixed + sigma * z * block.spread(v), block.y, block.weights, 4)
        S1, S2, S3, S4 = sums(z * l1), sums(z**2 * l2), sums(z**3 * l3), sums(z**4 * l4)
        x2, x3, x4 = block.weighted_sums(np.stack([z * l2, z**2 * l3, z**3 * l4]))
        H = 1.0 - sigma**2 * S2
        g_vvv = sigma**3 * S3
        g_vt = np.column_stack([sigma * x2, sigma * v * S2 + S1])
        g_vvt = np.column_stack([sigma**2 * x3, sigma**2 * v * S3 + 2 * sigma * S2])
        g_vvvt = np.column_stack([sigma**3 * x4, sigma**3 * v * S4 + 3 * sigma**2 * S3])
        v_t = g_vt / H[:, None]
        H_t = -(g_vvv[:, None] * v_t + g_vvt)
        omega = 1.0 / np.sqrt(H)
        return _Mode(
            v, sums(density) - 0.5 * v * v, H, l2, l3, l4, S2, S3, S4, g_vvv, sigma**4 * S4, g_vvt, g_vvvt, v_t, H_t,
            omega, (-0.5 * omega / H)[:, None] * H_t,
        )  # fmt: skip


@dataclass(frozen=True)
class _Nodes:
    """Averages over the nodes b_k = v^ + c_k omega, each node weighing pi_k, its share of the integral.

    A trailing ``c`` or ``cc`` says that the averaged quantity is multiplied by c_k or c_k^2.
    """

    log_mean: Vector
    """log of the sum of the node terms, relative to g(v^)."""
    mean_gradient: Matrix
    gradient_spread: Matrix
    """Covariance of the nodes' gradients G_t, summed over groups, (P, P)."""
    rows: Vector
    """l'' of each row."""
    rows_c: Vector
    g_v: Vector
    g_v_c: Vector
    g_vv: Vector
    g_vv_c: Vector
    g_vv_cc: Vector
    g_vt: Matrix
    g_vt_c: Matrix
    bbS2: Vector

    @staticmethod
    def around(mode: _Mode, block: Block, family: Family, fixed: Vector, sigma: float, rule: Rule) -> _Nodes:
        """Steps (2) and (3)."""
        z, c = block.z[:, 0], rule.offsets[:, None]
        b = mode.v + c * mode.omega
        density, l1, l2 = family.derivatives(fixed + (sigma * z) * block.spread(b), block.y, block.weights, 2)
        S1, S2 = block.sums(z * l1), block.sums(z**2 * l2)
        g_v, g_vv, g_vs = sigma * S1 - b, sigma**2 * S2 - 1.0, sigma * b * S2 + S1
        # g(v^) is the maximum of g: relative to it no exponent is above its weight's, so nothing can overflow
        terms = np.exp(rule.log_weights[:, None] + block.sums(density) - 0.5 * b * b - mode.g)
        total = terms.sum(axis=0)
        pi = terms / total
        pi_rows = block.spread(pi)
        rows = np.einsum("kn,kn->n", pi_rows, l2)
        rows_c = np.einsum("k,kn,kn->n", rule.offsets, pi_rows, l2)

        def mean(a: Matrix) -> Vector:
            return np.asarray(np.einsum("kg,kg->g", pi, a))

        # G_t = g_v b_t + g_t, (K, G, P), with b_t = v_t + c_k omega_t and g_t = S l' a
        g_t = np.dstack([block.weighted_sums(l1), b * S1])
        gradients = g_v[:, :, None] * (mode.v_t + c[:, :, None] * mode.omega_t) + g_t
        mean_gradient = np.einsum("kg,kgp->gp", pi, gradients)
        deviations = (np.sqrt(pi)[:, :, None] * (gradients - mean_gradient)).reshape(-1, gradients.shape[2])
        x2, x2_c = block.weighted_sums(np.stack([z * rows, z * rows_c]))
        return _Nodes(
            log_mean=np.log(total),
            mean_gradient=mean_gradient,
            gradient_spread=deviations.T @ deviations,
            rows=rows,
            rows_c=rows_c,
            g_v=mean(g_v),
            g_v_c=mean(c * g_v),
            g_vv=mean(g_vv),
            g_vv_c=mean(c * g_vv),
            g_vv_cc=mean(c * c * g_vv),
            g_vt=np.column_stack([sigma * x2, mean(g_vs)]),
            g_vt_c=np.column_stack([sigma * x2_c, mean(c * g_vs)]),
            bbS2=mean(b * b * S2),
        )


def _hessian(block: Block, sigma: float, mode: _Mode, nodes: _Nodes) -> Matrix:
    """Step (4): what multiplies H_tt is chi, what multiplies (g_vtt + ...) is mu, one number a group each."""
    kappa = 1.0 + nodes.g_v_c * mode.omega
    chi = kappa / (2.0 * mode.H)
    mu = (nodes.g_v + chi * mode.g_vvv) / mode.H
    v_t, omega_t, H_t = mode.v_t, mode.omega_t, mode.H_t
    along_v = (
        nodes.g_vt
        + mu[:, None] * mode.g_vvt
        + chi[:, None] * mode.g_vvvt
        + nodes.g_vv_c[:, None] * omega_t
        + 0.5 * (chi * mode.g_vvvv + mu * mode.g_vvv + nodes.g_vv)[:, None] * v_t
    )
    along_omega = nodes.g_vt_c + 0.5 * nodes.g_vv_cc[:, None] * omega_t
    along_H = (0.5 * (0.75 * kappa - 0.25) / mode.H**2)[:, None] * H_t
    half = v_t.T @ along_v + omega_t.T @ along_omega + H_t.T @ along_H
    return half + half.T + nodes.gradient_spread + _row_terms(block, sigma, mode, nodes, mu, chi)


def _row_terms(block: Block, sigma: float, mode: _Mode, nodes: _Nodes, mu: Vector, chi: Vector) -> Matrix:
    """The averages of g_tt, and mu g_vtt + chi g_vvtt, which hold products of rows: a' diag(w) a with a = (x, z b)."""
    z, v, x = block.z[:, 0], mode.v, block.x
    spread_v, spread_mu, spread_chi = block.spread(v), block.spread(mu), block.spread(chi)
    at_mode = sigma * spread_mu * z * mode.l3 + sigma**2 * spread_chi * z**2 * mode.l4
    with_sigma = (
        z * (spread_v * nodes.rows + block.spread(mode.omega) * nodes.rows_c)
        + z * spread_v * at_mode
        + spread_mu * z * mode.l2
        + 2.0 * sigma * spread_chi * z**2 * mode.l3
    )
    P = x.shape[1] + 1
    result = np.empty((P, P))
    result[:-1, :-1] = x.T @ (x * (nodes.rows + at_mode)[:, None])
    result[:-1, -1] = result[-1, :-1] = x.T @ with_sigma
    result[-1, -1] = np.sum(
        nodes.bbS2
        + mu * (sigma * v**2 * mode.S3 + 2.0 * v * mode.S2)
        + chi * (sigma**2 * v**2 * mode.S4 + 4.0 * sigma * v * mode.S3 + 2.0 * mode.S2)
    )
    return result
