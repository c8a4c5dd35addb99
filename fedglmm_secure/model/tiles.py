"""Tiles: groups of about equal size stacked into one array, so that sums within groups are sums along an axis.

Groups are sorted by size. Those of about one size make a tile of G groups by L rows, in which a shorter group is
filled up with rows of weight 0; a value of each group meets its rows by broadcasting. A tile is cut into pieces, small
enough that rows by nodes stay in the processor's cache; a group longer than a piece is cut too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fedglmm_secure.model.design import Design, Index, Matrix
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

PIECE_ROWS = 4096
"""Rows of a piece: with some ten nodes its arrays stay in a second-level cache of a megabyte."""
TILE_ROWS = 16384
"""Rows of a tile: enough to spread the cost of group-level algebra, and enough tiles to share between cores."""
PADDING = 1.125
"""Largest ratio of sizes within a tile, so that at most an eighth of its rows is padding."""

Place = tuple[slice, slice]
"""Where a piece lies in its tile: groups and rows."""


@dataclass(frozen=True)
class Tile:
    """G groups of at most L rows each; row arrays have shape (G, L), x has shape (G, L, p)."""

    design: Design
    units: Units
    firsts: Index
    """First row of each group, shape (G,)."""
    sizes: Index

    @property
    def shape(self) -> tuple[int, int]:
        """(G, L)."""
        return len(self.firsts), int(self.sizes.max())

    @cached_property
    def x(self) -> Matrix:
        """Fixed effects in ``units``: a copy, made piece by piece."""
        table, columns = self.design.x, list(self.units.columns)
        if columns != list(range(table.shape[1])):
            table = table[self._rows].take(columns, axis=-1)
            x = table.reshape(*self.shape, -1) - self.units.centre
        else:
            x = self._take(table) - self.units.centre
        x *= 1.0 / self.units.scale
        return x

    @cached_property
    def z(self) -> Matrix | None:
        """The random term, None where it is 1 throughout: a random intercept, which saves multiplications."""
        z = self._take(self.design.z[:, 0]) / self.units.z_scale[0]
        return None if np.all(z == 1.0) else z

    @cached_property
    def weights(self) -> Matrix | None:
        """Weights, None where they are 1 throughout."""
        weights = self._take(self.design.weights)
        if self._ragged:
            weights = weights * (np.arange(self.shape[1]) < self.sizes[:, None])
        return None if np.all(weights == 1.0) else weights

    @cached_property
    def y(self) -> Matrix:
        """The response."""
        return self._take(self.design.y)

    @cached_property
    def offset(self) -> Matrix:
        """The offset."""
        return self._take(self.design.offset)

    def sums(self, rows: Matrix) -> Matrix:
        """Sums over each group's rows: (G, ..., L) to (G, ...)."""
        length = rows.shape[-1]
        return np.asarray(rows.reshape(-1, length) @ np.ones(length)).reshape(rows.shape[:-1])

    def weighted(self, rows: Matrix) -> Matrix:
        """Rows (G, L) or (G, K, L) times their weights."""
        return rows if self.weights is None else rows * _like(self.weights, rows)

    def times_z(self, rows: Matrix, power: int = 1) -> Matrix:
        """Rows (G, L) or (G, K, L) times z^power."""
        return rows if self.z is None else rows * _like(self.z if power == 1 else self.z**power, rows)

    def pieces(self) -> list[tuple[Place, Tile]]:
        """Whole groups of up to PIECE_ROWS rows together, or a part of one group, with their places."""
        G, L = self.shape
        many = max(PIECE_ROWS // L, 1)
        cuts = []
        for low in range(0, G, many):
            groups = slice(low, min(low + many, G))
            firsts, sizes = self.firsts[groups], self.sizes[groups]
            longest = int(sizes.max())
            for start in range(0, longest, PIECE_ROWS if many == 1 else longest):
                part = replace(self, firsts=firsts + start, sizes=np.minimum(sizes - start, PIECE_ROWS))
                cuts.append(((groups, slice(start, start + part.shape[1])), part))
        return cuts

    @cached_property
    def _ragged(self) -> bool:
        return bool((self.sizes != self.sizes[0]).any())

    @cached_property
    def _rows(self) -> slice | Index:
        """The design's rows, group by group; a row of padding repeats the last one of its group."""
        G, L = self.shape
        if not self._ragged and (np.diff(self.firsts) == L).all():
            return slice(int(self.firsts[0]), int(self.firsts[0]) + G * L)
        return (self.firsts[:, None] + np.minimum(np.arange(L), self.sizes[:, None] - 1)).ravel()

    def _take(self, array: Matrix) -> Matrix:
        return array[self._rows].reshape(*self.shape, *array.shape[1:])


def _like(of_rows: Matrix, rows: Matrix) -> Matrix:
    return of_rows if rows.ndim == 2 else of_rows[:, None, :]


def tiles(design: Design, units: Units) -> Iterator[Tile]:
    """Cut a design into tiles of up to TILE_ROWS rows; a larger group is a tile of its own."""
    order = np.argsort(design.sizes, kind="stable")
    firsts, sizes = design.starts[order], design.sizes[order]
    low = 0
    while low < len(sizes):
        limit = max(int(sizes[low] * PADDING), int(sizes[low]))
        high = int(np.searchsorted(sizes, limit, side="right"))
        total = np.cumsum(sizes[low:high])
        high = low + max(int(np.searchsorted(total, TILE_ROWS, side="right")), 1)
        yield Tile(design, units, firsts[low:high], sizes[low:high])
        low = high
