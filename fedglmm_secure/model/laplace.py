"""Laplace's approximation for several correlated random terms (q >= 1), with its exact gradient and Hessian.

The equations of docs/mathematics.md, section 2, with tensors in place of scalars: s_j = Lambda' z_j, M = H^-1, and for
each group m = M c with c_i = M : g_vvv_i. Group tensors have their group first; an index t runs over the P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations

import numpy as np
import numpy.typing as npt

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.groups import Block
from fedglmm_secure.model.modes import conditional_modes
from fedglmm_secure.ring import Vector

Tensor = npt.NDArray[np.float64]


def laplace_derivatives(block: Block, family: Family, theta: Vector, pattern: Pattern) -> Derivatives:
    """log-likelihood, gradient and Hessian in theta = (beta, tau) of one block's groups, summed.

    (1) Modes, moments of z and derivatives of g there; (2) v_t and H_t along the mode; (3) the Hessian from products of
    rows, and (4) from group-level tensors.
    """
    p = block.x.shape[1]
    at = Mode.find(block, family, theta[:p], pattern.factor(theta[p:]), pattern)
    M, v_t, H_t = at.M, at.v_t, at.H_t
    value = at.g.sum() + 0.5 * np.linalg.slogdet(M)[1].sum()
    gradient = at.g_t.sum(axis=0) - 0.5 * np.einsum("gij,gijt->t", M, H_t)
    c = np.einsum("gij,gijk->gk", M, at.g_vvv)
    m = np.einsum("gij,gj->gi", M, c)
    curvature = 0.5 * (np.einsum("gij,gijkl->gkl", M, at.g_vvvv) + np.einsum("gi,gikl->gkl", m, at.g_vvv))
    along_v = _along_v(block, at, pattern, m) + 0.5 * at.g_vt + 0.5 * np.einsum("gkl,glt->gkt", curvature, v_t)
    half = np.einsum("gkt,gku->tu", v_t, along_v, optimize=True)
    L = np.linalg.cholesky(M)
    turned = np.einsum("gia,gijt,gjb->gabt", L, H_t, L, optimize=True).reshape(-1, H_t.shape[-1])
    hessian = half + half.T + 0.5 * turned.T @ turned + _row_terms(block, at, pattern, m)
    return Derivatives(float(value), gradient, hessian)


@dataclass(frozen=True)
class Mode:
    """A block at its conditional modes, with what both the Laplace and the quadrature derivatives need."""

    v: Matrix
    s: Matrix
    fixed: Vector
    rows: tuple[Vector, ...]
    """l, l', l'', l''', l'''' of each row."""
    Lambda: Matrix
    g: Vector
    M: Tensor
    g_vvv: Tensor
    g_vvvv: Tensor
    g_t: Matrix
    g_vt: Tensor
    H_t: Tensor
    v_t: Tensor
    Z2: Tensor
    Z3: Tensor
    Z4: Tensor

    @staticmethod
    def find(block: Block, family: Family, beta: Vector, Lambda: Matrix, pattern: Pattern) -> Mode:
        """Steps (1) and (2)."""
        fixed, s = block.offset + block.x @ beta, block.z @ Lambda
        v = conditional_modes(block, family, fixed, s)
        spread = block.spread(v.T).T
        rows = family.derivatives(fixed + np.sum(s * spread, axis=1), block.y, block.weights, 4)
        Z1, Z2, Z3, Z4 = (moments(block, rows[order], order) for order in (1, 2, 3, 4))
        q, (a, b) = s.shape[1], pattern.entries
        ZS2 = Z2 @ Lambda
        g_vv = np.einsum("gac,ai->gic", ZS2, Lambda) - np.eye(q)
        ZS3 = np.einsum("gabc,bj,ck->gajk", Z3, Lambda, Lambda, optimize=True)
        g_vvv = np.einsum("gajk,ai->gijk", ZS3, Lambda)
        g_vvvv = np.einsum("gabcd,ai,bj,ck,dl->gijkl", Z4, Lambda, Lambda, Lambda, Lambda, optimize=True)
        unit = np.eye(q)[:, b]
        x1 = block.weighted_sums(rows[1][None])[0]
        x2 = block.weighted_sums(rows[2] * s.T).transpose(1, 0, 2)
        x3 = _pairs(block, rows[3], s)
        g_t = np.concatenate([x1, Z1[:, a] * v[:, b]], axis=1)
        g_vt = np.concatenate([x2, ZS2[:, a, :].transpose(0, 2, 1) * v[:, None, b] + Z1[:, None, a] * unit], axis=2)
        crossed = unit[:, None, :] * ZS2[:, a, :].transpose(0, 2, 1)[:, None, :, :]
        g_vvtau = ZS3[:, a].transpose(0, 2, 3, 1) * v[:, None, None, b] + crossed + crossed.transpose(0, 2, 1, 3)
        g_vvt = np.concatenate([x3, g_vvtau], axis=3)
        M = np.linalg.inv(-g_vv)
        v_t = M @ g_vt
        H_t = -(np.einsum("gijk,gkt->gijt", g_vvv, v_t) + g_vvt)
        g = block.sums(rows[0]) - 0.5 * np.sum(v * v, axis=1)
        return Mode(v, s, fixed, rows, Lambda, g, M, g_vvv, g_vvvv, g_t, g_vt, H_t, v_t, Z2, Z3, Z4)


def moments(block: Block, rows: Vector, order: int) -> Tensor:
    """The sum of w_j z_j x ... x z_j (``order`` times) over each group's rows: (n,) to (G, q, ..., q)."""
    q = block.z.shape[1]
    result: Tensor = np.empty([block.starts.shape[0], *[q] * order])
    for index in combinations_with_replacement(range(q), order):
        total = block.sums(rows * np.prod(block.z[:, index], axis=1))
        for position in set(permutations(index)):
            where: tuple[slice | int, ...] = (slice(None), *position)
            result[where] = total
    return result


def _pairs(block: Block, rows: Vector, s: Matrix) -> Tensor:
    """The sum of w_j s_ja s_jb x_j over each group's rows: (G, q, q, p)."""
    q = s.shape[1]
    a, b = np.tril_indices(q)
    sums = block.weighted_sums(rows * s.T[a] * s.T[b])
    result = np.empty((sums.shape[1], q, q, sums.shape[2]))
    for i, j, total in zip(a, b, sums, strict=True):
        result[:, i, j] = result[:, j, i] = total
    return result


def _along_v(block: Block, at: Mode, pattern: Pattern, m: Matrix) -> Tensor:
    """(M : g_vvvt + m . g_vvt) / 2, shape (G, q, P): what meets v_t once in the Hessian."""
    Lambda, M, (a, b) = at.Lambda, at.M, pattern.entries
    weights = at.rows[4] * _quadratic(block, at) + at.rows[3] * np.sum(at.s * block.spread(m.T).T, axis=1)
    in_beta = block.weighted_sums(weights * at.s.T).transpose(1, 0, 2)
    ZS2 = at.Z2 @ Lambda
    ZS3 = np.einsum("gabc,bj,ck->gajk", at.Z3, Lambda, Lambda, optimize=True)
    traced4 = np.einsum("gabcd,bi,cj,gij,dk->gak", at.Z4, Lambda, Lambda, M, Lambda, optimize=True)
    traced3 = np.einsum("gaij,gij->ga", ZS3, M)
    along_m = np.einsum("gaik,gi->gak", ZS3, m)
    unit = np.eye(Lambda.shape[0])[:, b]
    v_b, m_b = at.v[:, None, b], m[:, None, b]
    in_tau = (
        (traced4 + along_m)[:, a, :].transpose(0, 2, 1) * v_b
        + 2.0 * np.einsum("gtj,gtjk->gkt", M[:, b], ZS3[:, a])
        + unit * traced3[:, None, a]
        + m_b * ZS2[:, a, :].transpose(0, 2, 1)
        + unit * np.einsum("gai,gi->ga", ZS2, m)[:, None, a]
    )
    return 0.5 * np.concatenate([in_beta, in_tau], axis=2)


def _row_terms(block: Block, at: Mode, pattern: Pattern, m: Matrix) -> Matrix:
    """g_tt + (M : g_vvtt + m . g_vtt) / 2, summed over groups: products of rows (x, z_a v_b) and companions."""
    (a, b), (_, _, l2, l3, l4) = pattern.entries, at.rows
    z_a = block.z[:, a]
    spread_m = block.spread(m.T).T
    Ms = np.einsum("nij,nj->ni", np.repeat(at.M, block.sizes, axis=0), at.s)
    weights = l2 + 0.5 * l3 * np.sum(at.s * spread_m, axis=1) + 0.5 * l4 * np.sum(at.s * Ms, axis=1)
    rows = np.concatenate([block.x, z_a * block.spread(at.v.T).T[:, b]], axis=1)
    companions = z_a * (0.5 * l2[:, None] * spread_m[:, b] + l3[:, None] * Ms[:, b])
    result = rows.T @ (rows * weights[:, None])
    p = block.x.shape[1]
    crossed = rows.T @ companions
    result[:, p:] += crossed
    result[p:, :] += crossed.T
    result[p:, p:] += np.einsum("gtu,gtu->tu", at.Z2[:, a[:, None], a], at.M[:, b[:, None], b])
    return np.asarray(result)


def _quadratic(block: Block, at: Mode) -> Vector:
    """s_j' M s_j for each row."""
    return np.asarray(np.einsum("ni,nij,nj->n", at.s, np.repeat(at.M, block.sizes, axis=0), at.s, optimize=True))
