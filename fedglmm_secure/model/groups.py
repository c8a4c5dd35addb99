"""Rows sorted by group: blocks of whole groups, and sums within groups without a loop over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from fedglmm_secure.model.design import Design, Index, Matrix
from fedglmm_secure.ring import Vector

BLOCK_ROWS = 4096
"""Rows worked on at a time: with some ten nodes a block's arrays stay in the processor's second-level cache."""


@dataclass(frozen=True)
class Block:
    """Consecutive whole groups of a design, with the fixed effects already in the wanted units."""

    x: Matrix
    z: Vector
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
        return np.asarray(sparse @ self.x).reshape(m, -1, self.x.shape[1])


def blocks(design: Design, columns: list[int], centre: Vector, scale: Vector) -> Iterator[Block]:
    """Cut a design with one random term (q = 1) into blocks of about BLOCK_ROWS rows; a larger group is one block.

    Fixed effects become (x[:, columns] - centre) / scale, a block at a time, so that no copy of the design is made.
    """
    ends = np.append(design.starts[1:], design.rows)
    first = 0
    while first < design.groups:
        low = int(design.starts[first])
        last = max(int(np.searchsorted(ends, low + BLOCK_ROWS, side="right")), first + 1)
        rows = slice(low, int(ends[last - 1]))
        yield Block(
            x=np.ascontiguousarray((design.x[rows][:, columns] - centre) / scale),
            z=design.z[rows, 0],
            y=design.y[rows],
            offset=design.offset[rows],
            weights=design.weights[rows],
            starts=design.starts[first:last] - low,
            groups=slice(first, last),
        )
        first = last
