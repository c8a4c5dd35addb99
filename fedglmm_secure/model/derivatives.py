"""A function value with its gradient and Hessian, and how they travel as one vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector


@dataclass(frozen=True)
class Derivatives:
    """A log-likelihood with its gradient (P,) and Hessian (P, P)."""

    value: float
    gradient: Vector
    hessian: Matrix

    def __add__(self, other: Derivatives) -> Derivatives:
        return Derivatives(self.value + other.value, self.gradient + other.gradient, self.hessian + other.hessian)

    @staticmethod
    def zero(size: int) -> Derivatives:
        """The sum over nothing."""
        return Derivatives(0.0, np.zeros(size), np.zeros((size, size)))

    def pack(self) -> Vector:
        """Value, gradient and the Hessian's upper triangle: 1 + P + P(P+1)/2 numbers."""
        return np.concatenate([[self.value], self.gradient, pack_symmetric(self.hessian)])

    @staticmethod
    def unpack(vector: Vector, size: int) -> Derivatives:
        """The inverse of ``pack`` for P = ``size``."""
        return Derivatives(float(vector[0]), vector[1 : size + 1], unpack_symmetric(vector[size + 1 :], size))


def pack_symmetric(matrix: Matrix) -> Vector:
    """The upper triangle of a symmetric matrix, row by row: (P, P) to (P(P+1)/2,)."""
    return matrix[np.triu_indices(matrix.shape[0])]


def unpack_symmetric(vector: Vector, size: int) -> Matrix:
    """The inverse of ``pack_symmetric``."""
    matrix = np.empty((size, size))
    rows, columns = np.triu_indices(size)
    matrix[rows, columns] = matrix[columns, rows] = vector
    return matrix
