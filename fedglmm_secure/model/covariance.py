"""Lambda, the lower-triangular factor of the random effects' covariance, and its free entries tau."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedglmm_secure.model.design import Index, Matrix
from fedglmm_secure.ring import Vector


@dataclass(frozen=True)
class Pattern:
    """Which entries of Lambda are free: the lower triangle of each block of correlated terms, row by row."""

    blocks: tuple[int, ...]

    @property
    def q(self) -> int:
        """Number of random terms."""
        return sum(self.blocks)

    @cached_property
    def entries(self) -> tuple[Index, Index]:
        """Rows a and columns b of the free entries, in the order of tau."""
        pairs, first = [], 0
        for size in self.blocks:
            pairs += [(first + a, first + b) for a in range(size) for b in range(a + 1)]
            first += size
        rows, columns = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        return rows, columns

    @property
    def size(self) -> int:
        """Number of free entries."""
        return len(self.entries[0])

    @cached_property
    def diagonal(self) -> Index:
        """Positions in tau of Lambda's diagonal, one a term."""
        rows, columns = self.entries
        return np.flatnonzero(rows == columns)

    def trailing_columns(self, tau: Vector, size: float) -> list[Index]:
        """Entries of each column of Lambda below ``size`` after which its block has no larger one.

        They are what a maximum may have at 0. An earlier column at 0 is no maximum: its term's variance is then 0 while
        a later one's is not, and a little of both, correlated, is better but by chance.
        """
        columns, found, end = self.entries[1], [], self.q
        for block in reversed(self.blocks):
            for column in range(end - 1, end - block - 1, -1):
                entries = np.flatnonzero(columns == column)
                if np.abs(tau[entries]).max() >= size:
                    break
                found.append(entries)
            end -= block
        return found

    def factor(self, tau: Vector) -> Matrix:
        """Lambda (q, q) with the entries tau."""
        result = np.zeros((self.q, self.q))
        result[self.entries] = tau
        return result

    def with_positive_diagonal(self, tau: Vector) -> Vector:
        """The same covariance with every diagonal entry non-negative: the sign of a column of Lambda is free."""
        signs = np.where(tau[self.diagonal] < 0.0, -1.0, 1.0)
        return np.asarray(tau * signs[self.entries[1]])
