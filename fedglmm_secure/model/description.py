"""The pooled description: what the first sum brings, by name, and the units that it fixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.errors import PeerError
from fedglmm_secure.model.design import Layout
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

GRID = (0.0, 0.075, 0.15, 0.28, 0.5, 0.9, 1.65, 3.0)
"""Standard deviations of one random term at which the working model is summed, evenly spread in ``grid_scale``."""
COARSE_GRID = (0.1, 0.3, 0.9, 2.7)
"""The same for several random terms, whose combinations would otherwise be too many."""


def grid(layout: Layout) -> tuple[tuple[float, ...], ...]:
    """Where the working model is summed: the standard deviations of the random terms, in units of ``Layout.z_half``.

    For one term GRID; for several each pair from COARSE_GRID, one for a term and one for all others.
    """
    q = len(layout.terms)
    if q < 2:
        return tuple((sigma,) * q for sigma in GRID[: None if q else 1])
    apart = {
        tuple(sigma if k == j else common for k in range(q))
        for common in COARSE_GRID
        for sigma in COARSE_GRID
        for j in range(q)
    }
    return tuple(sorted(apart))


def grid_scale(sigma: Vector) -> Vector:
    """log(1 + (sigma / 0.05)^2): near 0 like sigma^2, in which the likelihood is smooth, then like log sigma."""
    return np.asarray(np.log1p((sigma / 0.05) ** 2))


def from_grid_scale(position: float) -> float:
    """The inverse of ``grid_scale``."""
    return float(0.05 * np.sqrt(np.expm1(position)))


@dataclass(frozen=True)
class Description:
    """Counts and first and second moments of the range-scaled columns, pooled over all sites."""

    rows: float
    dropped: float
    groups: float
    level_counts: Vector
    sums: Vector
    """Sum of each range-scaled column, shape (p,)."""
    squares: Vector
    """Sum of squares of each range-scaled column, shape (p,)."""

    def vector(self) -> Vector:
        """The numbers in the order of ``slots``."""
        return np.concatenate([[self.rows, self.dropped, self.groups], self.level_counts, self.sums, self.squares])

    @staticmethod
    def slots(layout: Layout) -> tuple[str, ...]:
        """A name for each number."""
        return (
            "rows",
            "rows dropped",
            "groups",
            *(f"rows with {level}" for level in layout.levels),
            *(f"sum of {name}" for name in layout.columns),
            *(f"sum of squares of {name}" for name in layout.columns),
        )

    @staticmethod
    def unpack(vector: Vector, layout: Layout) -> Description:
        """The inverse of ``vector``; PeerError when the length is not the layout's."""
        p, cells = len(layout.columns), len(layout.levels)
        if vector.shape != (3 + cells + 2 * p,):
            raise PeerError(f"a description of this study has {3 + cells + 2 * p} numbers, not {vector.shape[0]}")
        counts, sums, squares = np.split(vector[3:], [cells, cells + p])
        rows, dropped, groups = vector[:3].tolist()
        return Description(rows, dropped, groups, counts, sums, squares)

    def units(self, layout: Layout, columns: tuple[int, ...]) -> Units:
        """Mean 0 and standard deviation 1 over the pooled rows for every column but the constant one.

        Plain arithmetic only, so that every site arrives at the same bits. Without a constant column nothing is
        centred, as that would change the model.
        """
        kept = list(columns)
        mean = self.sums[kept] / self.rows
        constant = np.array([i == layout.intercept for i in columns])
        if layout.intercept not in columns:
            mean = np.zeros_like(mean)
        spread = np.sqrt(np.maximum(self.squares[kept] / self.rows - mean * mean, 0.0))
        mean, spread = np.where(constant, 0.0, mean), np.where(constant | (spread == 0.0), 1.0, spread)
        half, centre = np.array(layout.half)[kept], np.array(layout.centre)[kept]
        return Units(columns, centre + half * mean, half * spread, np.array(layout.z_half), layout.intercept)
