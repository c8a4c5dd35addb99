"""Units of a fit: which columns are kept, and how they are centred and scaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.design import Layout, Matrix
from fedglmm_secure.ring import Vector


@dataclass(frozen=True)
class Units:
    """Fixed effects are (x - centre) / scale for the kept ``columns``, random terms (z - z_centre) / z_scale.

    ``z_centre`` is 0 but for terms that are correlated with an intercept.
    """

    columns: tuple[int, ...]
    centre: Vector
    scale: Vector
    z_centre: Vector
    z_scale: Vector
    intercept: int | None

    @staticmethod
    def of_table(layout: Layout, columns: tuple[int, ...]) -> Units:
        """The units of the table itself."""
        p, q = len(columns), len(layout.terms)
        return Units(columns, np.zeros(p), np.ones(p), np.zeros(q), np.ones(q), layout.intercept)

    @staticmethod
    def of_ranges(layout: Layout, columns: tuple[int, ...]) -> Units:
        """The declared ranges as [-1, 1]."""
        kept = list(columns)
        centre, half = np.array(layout.centre)[kept], np.array(layout.half)[kept]
        return Units(columns, centre, half, np.array(layout.z_centre), np.array(layout.z_half), layout.intercept)

    def to_table(self, pattern: Pattern) -> Matrix:
        """The matrix T (P, P) with theta = T theta_here, theta = (beta, tau) being those of ``of_table``.

        tau's random terms stay centred: what undoes that is no linear map of Lambda's entries (``Layout.z_to_table``).
        """
        p = len(self.columns)
        matrix = np.eye(p + pattern.size)
        matrix[:p, :p] = np.diag(1.0 / self.scale)
        if self.intercept in self.columns:
            matrix[self.columns.index(self.intercept), :p] -= self.centre / self.scale
        matrix[p:, p:] /= self.z_scale[pattern.entries[0]]
        return matrix
