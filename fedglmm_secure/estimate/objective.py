"""What is maximised: the pooled log-likelihood less a penalty, and which parameter is a scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Layout, Matrix
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector


@dataclass(frozen=True)
class Objective:
    """log-likelihood - penalty * (sum of squares of the standardised coefficients, intercept and psi excepted).

    psi = 1 / phi is the inverse residual scale: for the Gaussian family the coefficient of the response (see Design),
    for the ``working`` model of penalised quasi-likelihood an entry of theta of its own, after beta.
    """

    layout: Layout
    units: Units
    penalty: float = 0.0
    working: bool = False

    @property
    def scale_position(self) -> int | None:
        """Where theta holds psi, None for models without a residual scale."""
        if self.working:
            return len(self.units.columns)
        return len(self.units.columns) - 1 if self.layout.family == "gaussian" else None

    @property
    def penalised_entries(self) -> Vector:
        """1 for each penalised entry of theta, 0 for the others."""
        columns = self.units.columns
        result = np.zeros(len(columns) + Pattern(self.layout.blocks).size + self.working)
        result[: len(columns)] = [column != self.units.intercept for column in columns]
        if self.scale_position is not None:
            result[self.scale_position] = 0.0
        return result

    def penalise(self, summed: Derivatives, theta: Vector) -> Derivatives:
        """The log-likelihood's derivatives, less the penalty's."""
        shrunk = 2.0 * self.penalty * self.penalised_entries
        return Derivatives(
            summed.value - 0.5 * float(shrunk @ theta**2),
            summed.gradient - shrunk * theta,
            summed.hessian - np.diag(shrunk),
        )

    def to_table(self) -> Matrix:
        """The matrix T (P, P) with theta = T theta_here, theta being in the units of the table."""
        matrix = self.units.to_table(Pattern(self.layout.blocks))
        if not self.working:
            return matrix
        size, position = len(matrix) + 1, len(self.units.columns)
        others = np.delete(np.arange(size), position)
        result = np.eye(size)
        result[np.ix_(others, others)] = matrix
        return result
