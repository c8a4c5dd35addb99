"""How far variances are to go: the likelihood in Sigma of groups whose effects are all known equally well.

For G groups whose estimated effects have covariance V = R + Sigma and sum of products T, R being what their own rows
leave uncertain, it is l(Sigma) = -G/2 log|V| - tr(V^-1 T) / 2, whose top is Sigma = T / G - R. V and T follow from the
pooled likelihood's slope and curvature in Sigma (docs/mathematics.md, section 4). No sum is needed for any of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedglmm_secure.estimate.trust_region import Tensor
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector

PASSES = 30
"""Of Gauss and Newton's method for V; five are usual."""
HALVINGS, SHORTER = 6, 0.3
"""How often, and by what factor, a pass that fits worse is shortened."""
SETTLED = 1e-6
"""Relative gain of a pass below which V is found."""
FIRST_SHARE = 1e-2
"""Of the trace of Sigma, on R's diagonal, where the search for V starts."""
DAMPING = 0.03
"""Of the equations for V, relative to G: where the curvature says nothing of a part of V, it stays."""
RESOLVED = 1e-5
"""Share of the largest change that an entry of Lambda makes to Sigma, in units of V, below which it makes none."""
LEAST_UNCERTAIN = 1e-6
"""Share of V that R keeps at least: V is estimated, and may come out smaller than Sigma."""


@dataclass(frozen=True)
class Moments:
    """The model of one block of correlated terms, at the Sigma (q, q) where it was made."""

    groups: float
    Sigma: Matrix
    R: Matrix
    T: Matrix

    @staticmethod
    def of(groups: float, Sigma: Matrix, slope: Matrix, directions: Tensor, curvature: Matrix) -> Moments:
        """From A = dl/dSigma (q, q), and the curvature (m, m) of l along ``directions`` (m, q, q) of Sigma.

        The slope at Sigma is A but for what would make T negative: T = G V + 2 V A V.
        """
        root = _root(spread(groups, Sigma, slope, directions, curvature))
        values, vectors = np.linalg.eigh(_within(root, Sigma[None])[0])
        turned = root @ vectors
        R = (turned * np.maximum(1.0 - values, LEAST_UNCERTAIN)) @ turned.T
        V = R + Sigma
        values, vectors = np.linalg.eigh(groups * V + 2.0 * V @ slope @ V)
        return Moments(groups, Sigma, R, (vectors * np.maximum(values, 0.0)) @ vectors.T)

    @cached_property
    def V(self) -> Matrix:
        """The covariance of the groups' estimated effects at ``Sigma``."""
        return self.R + self.Sigma

    def at(self, Sigma: Matrix, units: Tensor) -> tuple[float, Vector, Matrix]:
        """l, its slope and its curvature along ``units`` (m, q, q)."""
        V = self.R + Sigma
        W = np.linalg.inv(V)
        WT, along = W @ self.T, units @ W
        A = 0.5 * (WT @ W - self.groups * W)
        value = -0.5 * self.groups * np.linalg.slogdet(V)[1] - 0.5 * np.trace(WT)
        return float(value), np.einsum("tij,ji->t", units, A), _curvature(self.groups, units, along, A)

    def change(self, Sigma: Matrix) -> Change:
        """How far Sigma has gone, bounded: U = 2 (V' - V) (V' + V)^-1 V, which lies between -2 V and 2 V.

        Near ``self.Sigma`` it is the difference. What the model leaves of the pooled curvature counts along U, so that
        it does not outweigh the model far away.
        """
        return Change(self.V, np.asarray(np.linalg.inv(self.R + Sigma + self.V), dtype=np.float64))

    def distance(self, Sigma: Matrix) -> float:
        """The root of the sum of log^2 over 2, over the eigenvalues of V' relative to V."""
        relative = _within(_root(self.V), (self.R + Sigma)[None])[0]
        return float(np.sqrt(0.5 * np.sum(np.log(np.linalg.eigvalsh(relative)) ** 2)))


@dataclass(frozen=True)
class Change:
    """U of ``Moments.change`` with its derivatives; ``between`` is (V' + V)^-1."""

    V: Matrix
    between: Matrix

    @property
    def value(self) -> Matrix:
        """U itself, (q, q)."""
        return 2.0 * self.V - 4.0 * self.V @ self.between @ self.V

    def along(self, units: Tensor) -> Tensor:
        """Its derivatives along ``units``, (m, q, q)."""
        M = self.V @ self.between
        return np.asarray(4.0 * M @ units @ M.T)

    def bent(self, units: Tensor, slope: Matrix) -> Matrix:
        """The second derivatives of tr(slope U) along ``units``, (m, m)."""
        M = self.V @ self.between
        half = -4.0 * np.einsum("ij,tjk,kl,uli->tu", M.T @ slope @ M, units, self.between, units)
        return np.asarray(half + half.T)


def spread(groups: float, Sigma: Matrix, slope: Matrix, directions: Tensor, curvature: Matrix) -> Matrix:
    """V (q, q) whose model's curvature along ``directions`` is nearest the given one, by least squares in units of V.

    With W = V^-1 it is -G/2 tr(D W E W) - tr(D W E A) - tr(E W D A) along D and E.
    """
    basis = _symmetric(len(Sigma))
    here = _Fit.at(Sigma + FIRST_SHARE * np.trace(Sigma) * np.eye(len(Sigma)), groups, slope, directions, curvature)
    for _ in range(PASSES):
        values, vectors = np.linalg.eigh(np.einsum("o,oij->ij", here.step(groups, basis), basis))
        values = values / max(1.0, float(np.abs(values).max()))
        for halving in range(HALVINGS):
            turned = here.root @ vectors * np.exp(-0.5 * SHORTER**halving * values)
            there = _Fit.at(turned @ turned.T, groups, slope, directions, curvature)
            if there.misfit < here.misfit:
                break
        else:
            break
        gain, here = here.misfit - there.misfit, there
        if gain <= SETTLED * here.misfit:
            break
    return np.asarray(here.root @ here.root.T)


@dataclass(frozen=True)
class _Fit:
    """One V in the search of ``spread``; all in units of V = root root'."""

    root: Matrix
    slope: Matrix
    directions: Tensor
    """Orthonormal, those that are resolved."""
    apart: Matrix
    """The curvature wanted along them, less the model's."""
    misfit: float
    """Its size relative to the curvature wanted."""

    @staticmethod
    def at(V: Matrix, groups: float, slope: Matrix, directions: Tensor, curvature: Matrix) -> _Fit:
        root = _root(V)
        basis, A = _symmetric(len(V)), root.T @ slope @ root
        flat = np.einsum("tij,bij->tb", _within(root, directions), basis)
        left, sizes, right = (np.asarray(part, dtype=np.float64) for part in np.linalg.svd(flat, full_matrices=False))
        known = sizes > RESOLVED * sizes[0]
        D, turn = np.tensordot(right[known], basis, 1), left[:, known] / sizes[known]
        wanted = turn.T @ curvature @ turn
        apart = wanted - _curvature(groups, D, D, A)
        return _Fit(root, A, D, apart, float(np.linalg.norm(apart)) / max(float(np.linalg.norm(wanted)), 1e-300))

    def step(self, groups: float, basis: Tensor) -> Vector:
        """Omega, in ``basis``, such that the precision I + Omega explains what is apart."""
        D, upper = self.directions, np.triu_indices(len(self.directions))
        change = np.einsum("tij,ojk,uki->tuo", D, basis, -0.5 * groups * D)
        change -= np.einsum("tij,ojk,ukl,li->tuo", D, basis, D, self.slope, optimize=True)
        change += change.transpose(1, 0, 2)
        equations = np.concatenate([change[upper], DAMPING * groups * np.eye(len(basis))])
        return np.asarray(np.linalg.lstsq(equations, np.append(self.apart[upper], np.zeros(len(basis))), rcond=None)[0])


def _curvature(groups: float, units: Tensor, along: Tensor, A: Matrix) -> Matrix:
    """-G/2 tr(D W E W) - tr(D W E A) - tr(E W D A) for D and E among ``units``; ``along`` holds D W."""
    crossed = np.einsum("tij,ujk,ki->tu", along, units, A, optimize=True)
    return np.asarray(-0.5 * groups * np.einsum("tij,uji->tu", along, along) - crossed - crossed.T)


def _root(V: Matrix) -> Matrix:
    return np.asarray(np.linalg.cholesky(V), dtype=np.float64)


def _within(root: Matrix, matrices: Tensor) -> Tensor:
    """root^-1 M root'^-1 of each symmetric matrix M."""
    half = np.linalg.solve(root, matrices)
    return np.asarray(np.linalg.solve(root, half.transpose(0, 2, 1)))


def _symmetric(q: int) -> Tensor:
    """An orthonormal basis of the symmetric matrices, (q (q + 1) / 2, q, q)."""
    a, b = np.tril_indices(q)
    basis = np.zeros((len(a), q, q))
    basis[np.arange(len(a)), a, b] = basis[np.arange(len(a)), b, a] = np.where(a == b, 1.0, np.sqrt(0.5))
    return basis
