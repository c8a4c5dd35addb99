"""A site's rows in two: most to fit with, the others to choose a penalty by.

Every site draws its own rows, by the approved study and its own name alone: the coordinator has no say in the draw,
and a site that starts anew draws the same rows again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from fedglmm_secure import canonical
from fedglmm_secure.model.design import Design
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.columns import Mask

LABEL = "fedglmm/study/validation/v1"


@dataclass(frozen=True, repr=False)
class DividableDesign(Design):
    """A design that keeps, row by row, what its totals are made of."""

    constants: Vector
    """Each row's share of ``constant``, shape (n,)."""
    cells: csr_array
    """Each row's share of ``level_counts``, shape (n, cells)."""

    def part(self, rows: Mask, dropped: int) -> Self:
        """The design of some rows, in their order; a group that keeps none is left out."""
        sizes = np.bincount(self.group_of_row[rows], minlength=self.groups)
        kept = np.flatnonzero(sizes)
        cells, constants = self.cells[rows], self.constants[rows]
        return type(self)(
            x=self.x[rows],
            z=self.z[rows],
            y=self.y[rows],
            offset=self.offset[rows],
            weights=self.weights[rows],
            constant=float(constants.sum()),
            starts=(np.cumsum(sizes[kept]) - sizes[kept]).astype(np.intp),
            group_names=tuple(self.group_names[group] for group in kept),
            level_counts=np.asarray(cells.sum(axis=0), dtype=np.float64),
            dropped=dropped,
            constants=constants,
            cells=cells,
        )


def split(
    design: DividableDesign, fraction: float, seed: int, study: str, site: str
) -> tuple[DividableDesign, DividableDesign]:
    """The rows to fit with, and those to validate by: each is drawn for the latter with probability ``fraction``.

    A site with few rows may have none in one of the two. Dropped rows are counted with the former.
    """
    held = _draw(design.rows, fraction, canonical.digest(LABEL, seed, study, site))
    return design.part(~held, design.dropped), design.part(held, 0)


def _draw(rows: int, fraction: float, key: bytes) -> Mask:
    """NumPy promises that the raw stream of a seeded bit generator never changes, other than its distributions."""
    stream = np.random.PCG64(int.from_bytes(key, "big"))
    return np.asarray((stream.random_raw(rows) >> np.uint64(11)) * 2.0**-53 < fraction)
