"""Row work in compiled loops, for what is fitted most at scale: the logit link, a random intercept, weights of 1.

For all else, and without Numba (fast.py), NumPy does the same (rows.py).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import MODERATE
from fedglmm_secure.model.fast import kernels
from fedglmm_secure.model.rows import Rows, Tensor
from fedglmm_secure.model.tiles import Place
from fedglmm_secure.ring import Vector

SHORT = 48
"""Rows of a group up to which BLAS is as fast with its rows times x."""


class CompiledRows(Rows):
    """Rows for which e^eta factors into one number a row and one a group and node."""

    _near = False
    """Whether it may be factored at all nodes of the part."""

    def predict(self, beta: Vector) -> Matrix:
        """See Rows."""
        G, L = self.part.shape
        eta: Matrix = self.part.offset + (beta @ self.x[: len(beta), : G * L]).reshape(G, L)
        return eta

    def newton_sums(self, v: Matrix) -> tuple[Matrix, Matrix]:
        """See Rows."""
        if not self._is_moderate(v):
            return super().newton_sums(v)
        mean, variance = np.empty_like(v), np.empty_like(v)
        kernels().newton_sums(self._odds, self._factor(v), self.part.sizes, mean, variance)
        return mean, variance

    def at_mode(self, v: Vector) -> tuple[Vector, ...]:
        """See Rows."""
        if not self._is_moderate(v):
            return super().at_mode(v)
        part, sums, self._curves = self.part, np.empty((5, len(v))), np.empty((len(v), 3, self.fixed.shape[1]))
        kernels().mode_sums(self._odds, self._factor(v), part.sizes, sums, self._curves)
        y = part.weighted(part.y)
        lever, linear = part.sums(y), np.einsum("gl,gl->g", y, self.fixed)
        b, mean, S2, S3, S4 = sums
        return b, linear + self.sigma * v * lever, lever, lever - mean, S2, S3, S4

    def at_nodes(self, nodes: Matrix) -> tuple[Tensor, ...]:
        """See Rows."""
        self._near = self._is_moderate(nodes)
        return super().at_nodes(nodes)

    def average_curvature(self, averaging: Tensor, nodes: Matrix) -> Tensor:
        """See Rows."""
        if not self._near:
            return super().average_curvature(averaging, nodes)
        averages = np.empty((len(nodes), 2, self.fixed.shape[1]))
        kernels().average_curvature(self._odds, self._factor(nodes), averaging, self.part.sizes, averages)
        return averages

    def _nodes_of(self, place: Place, nodes: Matrix, at_mode: Tensor) -> tuple[Tensor, ...]:
        if not self._near:
            return super()._nodes_of(place, nodes, at_mode)
        groups, rows = place
        sizes = np.minimum(self.part.sizes[groups], rows.stop) - rows.start
        odds, y = np.ascontiguousarray(self._odds[place]), np.ascontiguousarray(self.part.y[place])
        (G, L), K = odds.shape, nodes.shape[1]
        sums, stacked = np.empty((3, G, K)), np.empty((G, K + 3, L))
        stacked[:, K:] = at_mode
        kernels().node_sums(odds, y, self._factor(nodes), sizes, sums, stacked)
        return *sums, stacked

    def _times_x(self, rows: Tensor, place: Place) -> Tensor:
        (G, M, n), (groups, cut), L = rows.shape, place, self.part.shape[1]
        columns, p = self.x, len(self.part.units.columns)
        if n <= SHORT:
            return rows @ columns.reshape(-1, len(columns[0]) // L, L)[:p, groups, cut].transpose(1, 2, 0)
        filled_up = np.zeros((G, -M % 4, n))
        result = np.empty((G, M + -M % 4, len(columns)))
        rows = np.concatenate([rows, filled_up], axis=1) if M % 4 else np.ascontiguousarray(rows)
        kernels().sums_of_x(rows, columns, groups.start * L + cut.start, L, result)
        return result[:, :M, :p]

    def _cross_product(self, weights: Matrix) -> Matrix:
        columns, p = self.x, len(self.part.units.columns)
        result = np.empty((len(columns), len(columns)))
        kernels().cross_product(columns, weights.reshape(-1), result)
        lower = np.tril(result[:p, :p])
        return lower + np.tril(lower, -1).T

    @cached_property
    def x(self) -> Matrix:
        """As the loops want it: see kernels.py."""
        part, kept = self.part, np.array(self.part.units.columns, dtype=np.intp)
        G, L = part.shape
        # a group more than there are, for columns must not lie a power of two apart: they would share cache lines
        columns = np.empty((len(kept) + -len(kept) % 4, (G + 1) * L))
        kernels().standardise(
            part.design.x, kept, part.units.centre, 1.0 / part.units.scale, part.firsts, part.sizes, columns
        )
        return columns

    @cached_property
    def _odds(self) -> Matrix:
        return np.exp(self.fixed)

    @cached_property
    def _far(self) -> float:
        return float(np.abs(self.fixed).max())

    def _is_moderate(self, v: Matrix) -> bool:
        """Whether e^eta may be taken as a product at v, as Family.cumulants does."""
        return self._far + abs(self.sigma) * float(np.abs(v).max()) <= MODERATE

    def _factor(self, v: Matrix) -> Matrix:
        return np.exp(self.sigma * v)
