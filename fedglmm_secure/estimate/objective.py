"""What is maximised: the pooled log-likelihood, with the terms that the coordinator itself adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Layout
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector


@dataclass(frozen=True)
class Objective:
    """log-likelihood + n log(1 / phi) - penalty.

    (1) For the Gaussian family the coefficient of the response is 1 / phi (see Design); the Jacobian of that scaling is
    n log(1 / phi). (2) The L2 penalty is ``penalty`` times the sum of squares of the standardised coefficients, the
    intercept and the residual scale excepted.
    """

    layout: Layout
    units: Units
    rows: float
    penalty: float = 0.0

    @property
    def scale_position(self) -> int | None:
        """Where theta holds the residual precision 1 / phi, None for families without one."""
        return len(self.units.columns) - 1 if self.layout.family == "gaussian" else None

    @property
    def penalised(self) -> Vector:
        """1 for each penalised entry of beta, 0 for the others."""
        scale = self.scale_position
        columns = enumerate(self.units.columns)
        return np.array([float(column != self.units.intercept and i != scale) for i, column in columns])

    def log_likelihood(self, summed: Derivatives, theta: Vector) -> Derivatives:
        """(1)."""
        position = self.scale_position
        if position is None:
            return summed
        inverse = 1.0 / theta[position]
        gradient, hessian = summed.gradient.copy(), summed.hessian.copy()
        gradient[position] += self.rows * inverse
        hessian[position, position] -= self.rows * inverse**2
        in_table_units = theta[position] / self.units.scale[position]
        return Derivatives(summed.value + self.rows * float(np.log(in_table_units)), gradient, hessian)

    def penalise(self, summed: Derivatives, theta: Vector) -> Derivatives:
        """(2)."""
        p = len(self.units.columns)
        shrunk = np.zeros(len(theta))
        shrunk[:p] = 2.0 * self.penalty * self.penalised
        return Derivatives(
            summed.value - 0.5 * float(shrunk @ theta**2),
            summed.gradient - shrunk * theta,
            summed.hessian - np.diag(shrunk),
        )
