"""From a maximum to what is reported: covariance, z tests, intervals and criteria (docs/mathematics.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from fedglmm_secure.model.description import Standardisation
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.quadrature import Derivatives
from fedglmm_secure.ring import Vector

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimates:
    """Parameters in the units of the table, with their covariance, shapes (P,) and (P, P)."""

    theta: Vector
    covariance: Matrix

    @property
    def std_errors(self) -> Vector:
        """Square roots of the covariance's diagonal, shape (P,)."""
        return np.sqrt(np.diag(self.covariance))


def in_table_units(theta: Vector, derivatives: Derivatives, units: Standardisation) -> Estimates:
    """Undo the standardisation, exactly: it is linear in beta and leaves the random terms alone.

    The covariance is the inverse of the full negative Hessian in (beta, sigma), as glmmTMB's.
    """
    transform = np.eye(len(theta))
    p = len(units.columns)
    transform[:p, :p] = units.to_original()
    return Estimates(transform @ theta, transform @ np.linalg.inv(-derivatives.hessian) @ transform.T)


@dataclass(frozen=True)
class Wald:
    """z test and confidence interval of one estimate."""

    z: float
    p_value: float
    lower: float
    upper: float

    @staticmethod
    def of(estimate: float, std_error: float) -> Wald:
        """Two-sided, at the level of CONFIDENCE."""
        z = estimate / std_error
        reach = float(norm.ppf(0.5 + CONFIDENCE / 2.0)) * std_error
        return Wald(z, float(2.0 * norm.sf(abs(z))), estimate - reach, estimate + reach)
