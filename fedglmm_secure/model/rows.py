"""Row work of one random term: all that touches rows, rows by nodes, or the fixed effects x, in NumPy.

``Rows`` takes one part of a tile through an evaluation: the modes, the curves there, the nodes, and the products of
rows in the Hessian. Symbols are those of docs/mathematics.md, section 2; what belongs to groups has them first, and is
summed over the rows of this part alone. ``compiled.CompiledRows`` does the heaviest of it in compiled loops.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.tiles import Place, Tile
from fedglmm_secure.ring import Vector

Tensor = npt.NDArray[np.float64]


class Rows:
    """G groups of L rows on their way through an evaluation."""

    fixed: Matrix
    """The linear predictor at v = 0, (G, L)."""

    def __init__(self, part: Tile, family: Family, sigma: float) -> None:
        """The linear predictor is ``fixed``, to be set before anything is asked, + sigma z v."""
        self.part, self.family, self.sigma = part, family, sigma
        self._curves = np.empty((0, 3, 0))
        """l'', z l''' and z^2 l'''' of each row at the mode, (G, 3, L)."""
        self._curvature: list[Tensor] = []
        """w b'' = -l'' at the nodes, one array (G, K, L) for each cut."""

    @cached_property
    def x(self) -> Matrix:
        """The part's x, (G, L, p)."""
        return self.part.x

    def forget(self) -> None:
        """Let x go, unless it is to be kept between passes."""
        if not self.part.keep_x:
            self.__dict__.pop("x", None)

    def predict(self, beta: Vector) -> Matrix:
        """The offset + x' beta, (G, L)."""
        return self.part.offset + self.x @ beta

    def response(self) -> Matrix:
        """The sum of w y z, (G, 1)."""
        return self.part.sums(self.part.times_z(self.part.weighted(self.part.y)))[:, None]

    def newton_sums(self, v: Matrix) -> tuple[Matrix, Matrix]:
        """The sums of w z b' and of w z^2 b'' at v, each of v's shape (G, 1)."""
        part = self.part
        mean, variance = self.family.cumulants(self.fixed, part.times_z(self.sigma * v), 1, 2)
        sums = part.sums(part.times_z(part.weighted(mean))), part.sums(part.times_z(part.weighted(variance), 2))
        return sums[0][:, None], sums[1][:, None]

    def at_mode(self, v: Vector) -> tuple[Vector, ...]:
        """The sums of w b, w y eta, w y z, and S_1 to S_4, each (G,); keeps the curves."""
        part = self.part
        shift = part.times_z(self.sigma * v[:, None])
        b, b1, *higher = self.family.cumulants(self.fixed, shift, 0, 4)
        self._curves = np.empty((len(v), 3, self.fixed.shape[1]))
        for m, rows in enumerate(higher):
            np.negative(part.weighted(part.times_z(rows, m)), out=self._curves[:, m])
        lever = self.response()[:, 0]
        return (
            part.sums(part.weighted(b)),
            part.sums(part.weighted(part.y * (self.fixed + shift))),
            lever,
            lever - part.sums(part.times_z(part.weighted(b1))),
            *part.sums(part.times_z(self._curves, 2)).T,
        )

    def at_nodes(self, nodes: Matrix) -> tuple[Tensor, ...]:
        """The sums at nodes (G, K) of w b, z l', z^2 l'' and x l', and at the mode of x times z times the curves.

        Shapes (G, K) three times, (G, K, p), (G, 3, p).
        """
        (G, K), p = nodes.shape, len(self.part.units.columns)
        totals = *(np.zeros((G, K)) for _ in range(3)), np.zeros((G, K + 3, p))
        at_mode = self.part.times_z(self._curves)
        for groups, rows in self.part.cuts():
            *sums, l1 = self._nodes_of((groups, rows), nodes[groups], at_mode[groups, :, rows])
            for total, part in zip(totals, (*sums, self._times_x(l1, (groups, rows))), strict=True):
                total[groups] += part
        b, S1, S2, with_x = totals
        return b, S1, S2, with_x[:, :K], with_x[:, K:]

    def _nodes_of(self, place: Place, nodes: Matrix, at_mode: Tensor) -> tuple[Tensor, ...]:
        """Of one cut, the first sums of ``at_nodes``; then l' at the nodes and ``at_mode``, stacked (G, K + 3, L)."""
        part = self.part
        shift = part.times_z(self.sigma * nodes[:, :, None], place=place)
        b, b1, b2 = self.family.cumulants(self.fixed[place][:, None, :], shift, 0, 2)
        curvature = part.weighted(b2, place)
        self._curvature.append(curvature)
        l1 = part.weighted(part.y[place][:, None, :] - b1, place)
        S1, b2_sum = part.sums(part.times_z(l1, place=place)), part.sums(part.times_z(curvature, 2, place))
        return part.sums(part.weighted(b, place)), S1, -b2_sum, np.concatenate([l1, at_mode], axis=1)

    def average_curvature(self, averaging: Tensor, nodes: Matrix) -> Tensor:
        """l'' averaged over the nodes with the weights ``averaging`` (G, 2, K): (G, 2, L)."""
        result = np.zeros((len(averaging), 2, self.fixed.shape[1]))
        for (groups, rows), curvature in zip(self.part.cuts(), self._curvature, strict=True):
            np.matmul(-averaging[groups], curvature, out=result[groups, :, rows])
        return result

    def products(
        self, averaging: Tensor, nodes: Matrix, along: Tensor, v: Vector, omega: Vector
    ) -> tuple[Matrix, Tensor]:
        """What the Hessian has of rows, given the weights (G, 3) twice of the curves in ``along`` (G, 2, 3).

        The sum of a' diag(w) a over rows, a = (x, z b), without its last entry: (p, p + 1); and the average over nodes
        of the sums of z l'' x, and of the same times c_k: (G, 2, p).
        """
        averages = self.average_curvature(averaging, nodes)
        curves = [self._curves[:, m] for m in range(3)]

        def mixed(weights: Matrix) -> Matrix:
            return np.asarray(sum(weights[:, m, None] * curves[m] for m in range(3)))

        weights = averages[:, 0] + mixed(along[:, 0])
        slopes = v[:, None] * weights + omega[:, None] * averages[:, 1] + mixed(along[:, 1])
        rows = self.part.times_z(np.concatenate([averages, slopes[:, None]], axis=1))
        sums = np.zeros((len(v), 3, len(self.part.units.columns)))
        for groups, places in self.part.cuts():
            sums[groups] += self._times_x(rows[groups, :, places], (groups, places))
        return np.column_stack([self._cross_product(weights), sums[:, 2].sum(axis=0)]), sums[:, :2]

    def _times_x(self, rows: Tensor, place: Place) -> Tensor:
        """Sums of rows (G, M, L) times x at ``place``: (G, M, p)."""
        return np.asarray(rows @ self.x[place])

    def _cross_product(self, weights: Matrix) -> Matrix:
        """x' diag(weights) x; weights of one sign, which they mostly are, let BLAS compute one half of it."""
        p = len(self.part.units.columns)
        x, result, negative = self.x, np.zeros((p, p)), bool(weights.max() <= 0.0)
        factors = np.sqrt(-weights) if negative else weights
        for place in self.part.cuts():
            some = x[place].reshape(-1, p)
            weighted = some * factors[place].reshape(-1, 1)
            result += -(weighted.T @ weighted) if negative else some.T @ weighted
        return result
