"""The marginal log-likelihood of a model with one random term, with its exact gradient and Hessian.

Adaptive Gauss-Hermite quadrature (Liu and Pierce 1994, Biometrika 81:624) with K nodes; K = 1 is Laplace. The
derivatives are those of the approximated function itself: modes and scales move with theta. Symbols and equations are
those of docs/mathematics.md, section 2: ``g_vt`` is a derivative of g in v and theta; matrices of group-level vectors
have shape (G, P), the last of the P columns being sigma's; arrays over nodes have shape (G, K) or (G, K, L).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.modes import modes_of_rows
from fedglmm_secure.model.parts import Map, TileRows
from fedglmm_secure.model.rows import Tensor
from fedglmm_secure.model.tiles import Tile
from fedglmm_secure.ring import Vector


@dataclass(frozen=True)
class Rule:
    """Gauss-Hermite nodes x_k, as offsets c_k = sqrt(2) x_k, and the logarithms of w_k exp(x_k^2) / sqrt(pi)."""

    offsets: Vector
    log_weights: Vector

    @staticmethod
    @cache
    def of(nodes: int) -> Rule:
        """The rule with ``nodes`` nodes, both arrays of shape (K,)."""
        x, w = np.polynomial.hermite.hermgauss(nodes)
        return Rule(np.sqrt(2.0) * x, np.log(w) + x * x - 0.5 * np.log(np.pi))


def marginal_derivatives(tile: Tile, family: Family, theta: Vector, rule: Rule, each: Map = map) -> Derivatives:
    """log-likelihood, gradient and Hessian in theta = (beta, sigma) of one tile's groups, summed.

    (1) Find the modes; (2) evaluate g at the nodes around them; (3) differentiate at the mode and average over the
    nodes; (4) collect the Hessian: one weighted cross-product for all rows, outer products of group-level vectors only.
    What meets rows (rows.py) is done for ``each`` part of the tile.
    """
    beta, sigma = theta[:-1], float(theta[-1])
    rows = TileRows.of(tile, family, beta, sigma, each)
    mode = _Mode.find(rows, sigma)
    nodes = _Nodes.around(mode, rows, rule)
    slopes = _Slopes.of(mode, nodes.x_mode)
    means = _Means.over(mode, nodes, slopes, rule)
    value = float(np.sum(mode.g + means.log_mean - 0.5 * np.log(mode.H)))
    gradient = means.gradient - 0.5 * slopes.H_t / mode.H[:, None]
    return Derivatives(value, gradient.sum(axis=0), _hessian(rows, mode, nodes, slopes, means))


@dataclass(frozen=True)
class _Mode:
    """A tile at its conditional modes: v^, g, H = -g_vv, and the sums S_m = S z^m l^(m)."""

    sigma: float
    v: Vector
    g: Vector
    b: Vector
    """The sum of w b(eta): the part of the density that is not linear in eta."""
    H: Vector
    omega: Vector
    lever: Vector
    """The sum of w y z."""
    S1: Vector
    S2: Vector
    S3: Vector
    S4: Vector

    @staticmethod
    def find(rows: TileRows, sigma: float) -> _Mode:
        """Step (1)."""
        v = modes_of_rows(rows)
        b, linear, lever, *S = rows.sums(lambda part: part.at_mode(v))
        H = 1.0 - sigma**2 * S[1]
        return _Mode(sigma, v, linear - b - 0.5 * v * v, b, H, 1.0 / np.sqrt(H), lever, *S)


@dataclass(frozen=True)
class _Nodes:
    """g at the nodes b_k = v^ + c_k omega, and what needs x at the mode."""

    v: Matrix
    """The nodes b_k, (G, K)."""
    b: Matrix
    """As _Mode.b."""
    S1: Matrix
    S2: Matrix
    x1: Tensor
    """The sum of l' x, (G, K, p)."""
    x_mode: Tensor
    """The sums of z l'' x, z^2 l''' x and z^3 l'''' x at the mode, (G, 3, p)."""

    @staticmethod
    def around(mode: _Mode, rows: TileRows, rule: Rule) -> _Nodes:
        """Step (2)."""
        nodes = mode.v[:, None] + rule.offsets * mode.omega[:, None]
        return _Nodes(nodes, *rows.sums(lambda part: part.at_nodes(nodes)))


@dataclass(frozen=True)
class _Slopes:
    """Derivatives of g at the mode, and how v^, H and omega = H^(-1/2) move with theta."""

    g_vvv: Vector
    g_vvvv: Vector
    g_vvt: Matrix
    g_vvvt: Matrix
    v_t: Matrix
    H_t: Matrix
    omega_t: Matrix

    @staticmethod
    def of(mode: _Mode, x_mode: Matrix) -> _Slopes:
        """Step (3) at the mode."""
        sigma, v, S2, S3, S4 = mode.sigma, mode.v, mode.S2, mode.S3, mode.S4
        x2, x3, x4 = x_mode[:, 0], x_mode[:, 1], x_mode[:, 2]
        H = mode.H[:, None]
        g_vvv = sigma**3 * S3
        g_vt = np.column_stack([sigma * x2, sigma * v * S2 + mode.S1])
        g_vvt = np.column_stack([sigma**2 * x3, sigma**2 * v * S3 + 2 * sigma * S2])
        g_vvvt = np.column_stack([sigma**3 * x4, sigma**3 * v * S4 + 3 * sigma**2 * S3])
        v_t = g_vt / H
        H_t = -(g_vvv[:, None] * v_t + g_vvt)
        return _Slopes(g_vvv, sigma**4 * S4, g_vvt, g_vvvt, v_t, H_t, -0.5 * mode.omega[:, None] / H * H_t)


@dataclass(frozen=True)
class _Means:
    """Averages over the nodes, each weighing pi_k, its share of the integral.

    A trailing ``c`` or ``cc`` says that the averaged quantity is multiplied by c_k or c_k^2.
    """

    log_mean: Vector
    """log of the sum of the node terms, relative to g(v^)."""
    pi: Matrix
    pi_c: Matrix
    gradient: Matrix
    gradient_spread: Matrix
    """Covariance of the nodes' gradients G_t, summed over groups, (P, P)."""
    g_v: Vector
    g_v_c: Vector
    g_vv: Vector
    g_vv_c: Vector
    g_vv_cc: Vector
    g_vs: Vector
    g_vs_c: Vector
    bbS2: Vector

    @staticmethod
    def over(mode: _Mode, nodes: _Nodes, slopes: _Slopes, rule: Rule) -> _Means:
        """Step (3) at the nodes."""
        sigma, c, b = mode.sigma, rule.offsets, nodes.v
        S1, S2 = nodes.S1, nodes.S2
        g_v, g_vv, g_vs = sigma * S1 - b, sigma**2 * S2 - 1.0, sigma * b * S2 + S1
        # g(v^) is the maximum of g: relative to it no exponent is above its weight's, so nothing can overflow
        away = b - mode.v[:, None]
        linear = sigma * away * mode.lever[:, None] - 0.5 * away * (b + mode.v[:, None])
        terms = np.exp(rule.log_weights + linear - (nodes.b - mode.b[:, None]))
        total = terms.sum(axis=1)
        pi = terms / total[:, None]
        pi_c = pi * c

        def mean(a: Matrix, weights: Matrix = pi) -> Vector:
            return np.asarray(np.sum(weights * a, axis=1))

        gradient, spread = _gradients(nodes, slopes, pi, np.stack([g_v, g_v * c], axis=2))
        return _Means(
            log_mean=np.log(total),
            pi=pi,
            pi_c=pi_c,
            gradient=gradient,
            gradient_spread=spread,
            g_v=mean(g_v),
            g_v_c=mean(g_v, pi_c),
            g_vv=mean(g_vv),
            g_vv_c=mean(g_vv, pi_c),
            g_vv_cc=mean(c * g_vv, pi_c),
            g_vs=mean(g_vs),
            g_vs_c=mean(g_vs, pi_c),
            bbS2=mean(b * b * S2),
        )


def _gradients(nodes: _Nodes, slopes: _Slopes, pi: Matrix, along: Tensor) -> tuple[Matrix, Matrix]:
    """Of the nodes' gradients G_t, the mean (G, P), and the covariance summed over groups (P, P).

    G_t = g_v b_t + g_t, with b_t = v_t + c_k omega_t and g_t = S l' a; ``along`` holds g_v and g_v c_k, (G, K, 2).
    """
    gradients = along @ np.stack([slopes.v_t, slopes.omega_t], axis=1)
    gradients[:, :, :-1] += nodes.x1
    gradients[:, :, -1] += nodes.v * nodes.S1
    mean = pi[:, None, :] @ gradients
    gradients -= mean
    gradients *= np.sqrt(pi)[:, :, None]
    deviations = gradients.reshape(-1, gradients.shape[2])
    return mean[:, 0], deviations.T @ deviations


def _hessian(rows: TileRows, mode: _Mode, nodes: _Nodes, slopes: _Slopes, means: _Means) -> Matrix:
    """Step (4): what multiplies H_tt is chi, what multiplies (g_vtt + ...) is mu, one number a group each."""
    kappa = 1.0 + means.g_v_c * mode.omega
    chi = kappa / (2.0 * mode.H)
    mu = (means.g_v + chi * slopes.g_vvv) / mode.H
    v_t, omega_t, H_t = slopes.v_t, slopes.omega_t, slopes.H_t
    products, x2, x2_c = _row_terms(rows, mode, nodes, means, mu, chi)
    along_v = (
        np.column_stack([mode.sigma * x2, means.g_vs])
        + mu[:, None] * slopes.g_vvt
        + chi[:, None] * slopes.g_vvvt
        + means.g_vv_c[:, None] * omega_t
        + 0.5 * (chi * slopes.g_vvvv + mu * slopes.g_vvv + means.g_vv)[:, None] * v_t
    )
    along_omega = np.column_stack([mode.sigma * x2_c, means.g_vs_c]) + 0.5 * means.g_vv_cc[:, None] * omega_t
    along_H = (0.5 * (0.75 * kappa - 0.25) / mode.H**2)[:, None] * H_t
    half = v_t.T @ along_v + omega_t.T @ along_omega + H_t.T @ along_H
    return half + half.T + means.gradient_spread + products


def _row_terms(
    rows: TileRows, mode: _Mode, nodes: _Nodes, means: _Means, mu: Vector, chi: Vector
) -> tuple[Matrix, Matrix, Matrix]:
    """The averages of g_tt, and mu g_vtt + chi g_vvtt, which hold products of rows: a' diag(w) a with a = (x, z b).

    Also the averages of the sums of z l'' x, and of the same times c_k, each (G, p).
    """
    sigma, v = mode.sigma, mode.v
    averaging = np.stack([means.pi, means.pi_c], axis=1)
    zero = np.zeros(len(v))
    # by curve: what multiplies x x', then what multiplies z x beyond that
    along = np.array([[zero, sigma * mu, sigma**2 * chi], [mu, 2.0 * sigma * chi, zero]]).transpose(2, 0, 1)
    products, x2 = rows.sums(lambda part: part.products(averaging, nodes.v, along, v, mode.omega))
    last = np.sum(
        means.bbS2
        + mu * (sigma * v**2 * mode.S3 + 2.0 * v * mode.S2)
        + chi * (sigma**2 * v**2 * mode.S4 + 4.0 * sigma * v * mode.S3 + 2.0 * mode.S2)
    )
    return np.vstack([products, np.append(products[:, -1], last)]), x2[:, 0], x2[:, 1]
