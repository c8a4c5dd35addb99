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

PIECE_ROWS = 4096
"""Rows of a piece: with some ten nodes its arrays stay in a second-level cache of a megabyte."""
LONGEST = 8
"""A group beyond so many times TILE_ROWS is taken in parts, so that no copy of x is longer."""
TILE_ROWS = 16384
"""Rows of a tile: enough to spread the cost of group-level algebra, and enough tiles to share between cores."""
TILE_NUMBERS = 2**19
"""Numbers in a tile's x, for the same reasons, where that is fewer rows; but not fewer than PIECE_ROWS."""
PADDING = 1.125
"""Rows of a tile with its padding, for each row without: more only in a tile of one piece, which costs little."""

CHUNK_NUMBERS = 512
"""So many numbers, at least, are standardised by one inner loop."""
LONG = 1024
"""A group of so many rows is worth a piece of its own: no padding, and its rows are contiguous in the design."""

Place = tuple[slice, slice]
"""Where something lies in its tile: groups and rows."""
EVERYWHERE: Place = (slice(None), slice(None))


@dataclass(frozen=True, repr=False)  # it holds patients
class Tile:
    """G groups of at most L rows each; row arrays have shape (G, L), x has shape (G, L, p)."""

    design: Design
    units: Units
    firsts: Index
    """First row of each group, shape (G,)."""
    sizes: Index
    ones: tuple[bool, bool]
    """Whether z, and the weights, are 1 in every row of the design."""
    compiled: bool = False
    """Whether compiled loops are to be used: only for the logit link, with z and the weights 1 in every row."""
    keep_x: bool = True
    """Whether x is to be kept between passes: the parts of a long group would together copy the design."""

    @property
    def is_long(self) -> bool:
        """Whether this is one group that is taken in parts."""
        return self.shape[1] > LONGEST * TILE_ROWS

    @property
    def shape(self) -> tuple[int, int]:
        """(G, L)."""
        return len(self.firsts), int(self.sizes.max())

    @property
    def x(self) -> Matrix:
        """Fixed effects in ``units``, made anew each time."""
        columns = list(self.units.columns)
        kept: slice | list[int] = slice(None) if columns == list(range(self.design.x.shape[1])) else columns
        (G, L), p = self.shape, len(columns)
        result = np.empty((G, L, p))
        if L < LONG:
            _standardise(self.design.x[self._rows][:, kept], self.units, result.reshape(G * L, p))
            return result
        for rows, first, size in zip(result, self.firsts, self.sizes, strict=True):
            _standardise(self.design.x[first : first + size][:, kept], self.units, rows[:size])
            rows[size:] = 0.0
        return result

    @cached_property
    def z(self) -> Matrix | None:
        """The random term, None where it is 1 throughout: a random intercept, which saves multiplications."""
        return None if self.ones[0] else self._take(self.design.z[:, 0]) / self.units.z_scale[0]

    @cached_property
    def weights(self) -> Matrix | None:
        """Weights, 0 for padding, None where they are 1 throughout."""
        present = (np.arange(self.shape[1]) < self.sizes[:, None]).astype(float) if self._ragged else None
        if self.ones[1]:
            return present
        weights = self._take(self.design.weights)
        return weights if present is None else weights * present

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
        if length >= LONG:
            return np.asarray(rows.sum(axis=-1))
        return np.asarray(rows.reshape(-1, length) @ np.ones(length)).reshape(rows.shape[:-1])

    def weighted(self, rows: Matrix, place: Place = EVERYWHERE) -> Matrix:
        """Rows (G, L) or (G, K, L) at ``place`` times their weights."""
        if self.weights is None or (self.ones[1] and self._has_no_padding(place)):
            return rows
        return rows * _like(self.weights[place], rows)

    def times_z(self, rows: Matrix, power: int = 1, place: Place = EVERYWHERE) -> Matrix:
        """Rows (G, L) or (G, K, L) at ``place`` times z^power."""
        return rows if self.z is None else rows * _like(self.z[place] if power == 1 else self.z[place] ** power, rows)

    def parts(self) -> list[Tile]:
        """The tile itself, or parts of its one long group."""
        if not self.is_long:
            return [self]
        length = self.shape[1]
        return [
            replace(self, firsts=self.firsts + at, sizes=np.array([min(TILE_ROWS, length - at)]), keep_x=False)
            for at in range(0, length, TILE_ROWS)
        ]

    def cuts(self) -> list[Place]:
        """Places of whole groups of up to PIECE_ROWS rows together, or of a part of one group."""
        G, L = self.shape
        many = max(PIECE_ROWS // L, 1) if L < LONG else 1
        places = []
        for low in range(0, G, many):
            groups = slice(low, min(low + many, G))
            longest = int(self.sizes[groups].max())
            width = PIECE_ROWS if many == 1 else longest
            places += [(groups, slice(at, min(at + width, longest))) for at in range(0, longest, width)]
        return places

    def _has_no_padding(self, place: Place) -> bool:
        groups, rows = place
        return rows.stop is not None and bool((self.sizes[groups] >= rows.stop).all())

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


def _standardise(table: Matrix, units: Units, result: Matrix) -> None:
    """(x - centre) / scale, several rows at a time: NumPy's inner loop is otherwise only as long as one row."""
    many = CHUNK_NUMBERS // max(table.shape[1], 1) + 1
    even = len(table) // many * many
    for rows, times in ((slice(0, even), many), (slice(even, None), 1)):
        long = (-1, table.shape[1] * times)
        out = result[rows].reshape(long)
        np.subtract(table[rows].reshape(long), np.tile(units.centre, times), out=out)
        np.multiply(out, np.tile(1.0 / units.scale, times), out=out)


def _like(of_rows: Matrix, rows: Matrix) -> Matrix:
    return of_rows if rows.ndim == 2 else of_rows[:, None, :]


def tiles(design: Design, units: Units, *, compiled: bool = False) -> Iterator[Tile]:
    """Cut a design into tiles of up to TILE_ROWS rows, fewer of many columns; a larger group is a tile of its own.

    ``compiled`` says that compiled loops pay and are made for the family (fast.py).
    """
    ones = bool((design.z[:, 0] == units.z_scale[0]).all()), bool((design.weights == 1.0).all())
    order = np.argsort(design.sizes, kind="stable")
    firsts, sizes = design.starts[order], design.sizes[order]
    most = min(TILE_ROWS, max(TILE_NUMBERS // max(design.x.shape[1], 1), PIECE_ROWS))
    low = 0
    while low < len(sizes):
        ahead = sizes[low : low + most]
        filled_up = ahead * np.arange(1, len(ahead) + 1)
        allowed = np.minimum(np.maximum(PADDING * np.cumsum(ahead), PIECE_ROWS), most)
        fitting = filled_up <= allowed
        high = low + (len(ahead) if fitting.all() else max(int(np.argmin(fitting)), 1))
        yield Tile(design, units, firsts[low:high], sizes[low:high], ones, compiled and ones == (True, True))
        low = high
