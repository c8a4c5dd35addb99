"""The pooled description: what the first sum brings, by name, and the units that it fixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.errors import PeerError
from fedglmm_secure.model.design import INTERCEPT, Layout
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

NO_SPREAD, LARGE_SPREAD = 0.0, 1.3
"""Standard deviations of one random term at which the working model is summed."""
SEVERAL_SPREADS = (0.3, 1.0)
"""The same for several terms, which all have it."""
CONSTANT = 1e-10
"""Share of its mean square below which a range-scaled column's variance is rounding."""
LINEAR_SPREAD = 0.5
"""The same for the Gaussian family, relative to the residual standard deviation."""


def grid(layout: Layout) -> tuple[tuple[float, ...], ...]:
    """Where the working model is summed: the standard deviations of the random terms, in units of ``Layout.z_half``.

    Two points and no more, one for the Gaussian family, whose plain sums of products are a point too: from three, the
    curvatures' differences would let each group's own averages be computed (docs/threat-model.md).
    """
    q = len(layout.terms)
    if q == 0:
        return ((),)
    if layout.family == "gaussian":
        return ((LINEAR_SPREAD,) * q,)
    return tuple((sd,) * q for sd in ((NO_SPREAD, LARGE_SPREAD) if q == 1 else SEVERAL_SPREADS))


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
        return Units(
            columns, centre + half * mean, half * spread, *self._units_of_random_terms(layout), layout.intercept
        )

    def is_constant(self, column: int) -> bool:
        """Whether a column, the intercept apart, varies less than the rounding of its range-scaled sums can tell."""
        mean, square = self.sums[column] / self.rows, self.squares[column] / self.rows
        return not square - mean * mean > CONSTANT * square

    def _units_of_random_terms(self, layout: Layout) -> tuple[Vector, Vector]:
        """Centre and scale of each random term: mean and standard deviation where an intercept takes the centring up,
        0 and root mean square elsewhere. Of a term that is no fixed effect too, the declared range alone is known.
        """
        z_centre, z_scale = np.array(layout.z_centre), np.array(layout.z_half)
        for term, (name, intercept) in enumerate(zip(layout.terms, layout.intercept_of, strict=True)):
            if name == INTERCEPT or name not in layout.columns or self.is_constant(layout.columns.index(name)):
                continue
            column = layout.columns.index(name)
            centre, half, mean = layout.centre[column], layout.half[column], self.sums[column] / self.rows
            variance = half * half * (self.squares[column] / self.rows - mean * mean)
            mean = centre + half * mean
            z_centre[term] = 0.0 if intercept is None else mean
            z_scale[term] = np.sqrt(variance + (mean * mean if intercept is None else 0.0))
        return z_centre, z_scale
