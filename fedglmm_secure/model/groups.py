"""Rows sorted by group: blocks of whole groups, and sums within groups without a loop over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from fedglmm_secure.model.design import Design, Index, Matrix
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

BLOCK_ROWS = 4096
"""Rows worked on at a time: with some ten nodes a block's arrays stay in the processor's second-level cache."""


@dataclass(frozen=True, repr=False)  # it holds patients
class Block:
    """Consecutive whole groups of a design, with the fixed effects already in the wanted units."""

    x: Matrix
    z: Matrix
    y: Vector
    offset: Vector
    weights: Vector
    starts: Index
    groups: slice
    """Which groups of the design these are."""

    @cached_property
    def sizes(self) -> Index:
        """Rows of each group, shape (G,)."""
        return np.diff(np.append(self.starts, self.y.shape[0]))

    def sums(self, rows: Matrix) -> Matrix:
        """Sums over each group's rows: (..., n) to (..., G)."""
        return np.add.reduceat(rows, self.starts, axis=-1)

    def spread(self, groups: Matrix) -> Matrix:
        """Each group's value on each of its rows: (..., G) to (..., n)."""
        return np.repeat(groups, self.sizes, axis=-1)

    def symmetric_sums(self, rows: Vector, s: Matrix) -> Matrix:
        """The sum of w_j s_j s_j' over each group's rows j: (n,) and (n, q) to (G, q, q)."""
        q = s.shape[1]
        result = np.empty((self.starts.shape[0], q, q))
        for a in range(q):
            for b in range(a + 1):
                result[:, a, b] = result[:, b, a] = self.sums(rows * s[:, a] * s[:, b])
        return result

    def weighted_sums(self, rows: Matrix) -> Matrix:
        """The sum of w_j x_j over each group's rows j, for each of m weightings w: (m, n) to (m, G, p)."""
        m, n = rows.shape
        pointers = (n * np.arange(m)[:, None] + self.starts).ravel()
        sparse = csr_array(
            (
                rows.ravel(),
                np.tile(np.arange(n, dtype=np.int32), m),
                np.append(pointers, m * n).astype(np.int32),
            ),
            shape=(len(pointers), n),
        )
        return np.asarray(sparse @ self.x).reshape(m, len(self.starts), self.x.shape[1])


def blocks(design: Design, units: Units, rows_at_a_time: int = BLOCK_ROWS) -> Iterator[Block]:
    """Cut a design into blocks of whole groups and about ``rows_at_a_time`` rows; a larger group is one block.

    Columns are brought into ``units`` a block at a time, so that no copy of the design is made. Without random terms
    (q = 0) rows are independent, and blocks are cut anywhere.
    """
    starts = design.starts if design.z.shape[1] else np.arange(0, design.rows, rows_at_a_time)
    ends = np.append(starts[1:], design.rows)
    first = 0
    while first < len(starts):
        low = int(starts[first])
        last = max(int(np.searchsorted(ends, low + rows_at_a_time, side="right")), first + 1)
        rows = slice(low, int(ends[last - 1]))
        yield Block(
            x=np.ascontiguousarray((design.x[rows][:, list(units.columns)] - units.centre) / units.scale),
            z=(design.z[rows] - units.z_centre) / units.z_scale,
            y=design.y[rows],
            offset=design.offset[rows],
            weights=design.weights[rows],
            starts=starts[first:last] - low,
            groups=slice(first, last),
        )
        first = last
