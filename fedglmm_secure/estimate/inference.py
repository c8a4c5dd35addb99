"""From a maximum to what is reported: covariance, Wald tests and criteria (docs/mathematics.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.trust_region import Tensor
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Layout, Matrix
from fedglmm_secure.ring import Vector

CONFIDENCE = 0.95
SINGULAR = 1e-4
"""lme4's isSingular: a diagonal entry of Lambda (relative to the residual scale, if any) below this is zero."""


@dataclass(frozen=True)
class Estimates:
    """Parameters in the units of the table: beta, tau and, where there is one, the residual scale phi.

    tau is that of the random terms less ``z_centre``. ``covariance`` has the order (beta, tau, phi): the inverse of the
    full negative Hessian, as glmmTMB's.
    """

    beta: Vector
    tau: Vector
    z_centre: Vector
    phi: float | None
    covariance: Matrix
    singular: bool

    @property
    def beta_errors(self) -> Vector:
        """Standard errors of beta."""
        return np.sqrt(np.diag(self.covariance)[: len(self.beta)])

    def with_unbiased_scale(self, inflation: float) -> Estimates:
        """For a linear regression: the residual variance over degrees of freedom instead of rows, as R's lm and glm."""
        phi = None if self.phi is None else self.phi * float(np.sqrt(inflation))
        return replace(self, phi=phi, covariance=self.covariance * inflation)

    @property
    def phi_error(self) -> float | None:
        """Standard error of phi."""
        return None if self.phi is None else float(np.sqrt(self.covariance[-1, -1]))

    def random_effects(self, layout: Layout) -> RandomCovariance:
        """Standard deviations and correlations of the random terms, with standard errors by the delta method.

        With R = T Lambda (T: ``Layout.z_to_table``) their covariance is R R'. Its derivative in Lambda_ib is D + D',
        D_ac = T_ai R_cb; that of sd_a is D_aa / sd_a, and that of the correlation r_ac is
        (D_ac + D_ca) / (sd_a sd_c) - r_ac (D_aa / sd_a^2 + D_cc / sd_c^2).
        """
        pattern, T = Pattern(layout.blocks), layout.z_to_table(self.z_centre)
        root = T @ pattern.factor(self.tau)
        covariance = root @ root.T
        sd = np.sqrt(np.diag(covariance))
        safe = np.where(sd > 0.0, sd, 1.0)
        rows, columns = pattern.entries
        D = np.einsum("at,ct->act", T[:, rows], root[:, columns]) / np.outer(safe, safe)[:, :, None]
        relative = np.einsum("aat->at", D)
        correlation = covariance / np.outer(safe, safe)
        np.fill_diagonal(correlation, 1.0)
        of_correlation = D + D.transpose(1, 0, 2) - correlation[:, :, None] * (relative[:, None] + relative[None])
        first = len(self.beta)
        of_tau = self.covariance[first : first + pattern.size, first : first + pattern.size]

        def errors(jacobian: Tensor) -> Tensor:
            squares = np.einsum("...t,tu,...u->...", jacobian, of_tau, jacobian)
            return np.asarray(np.sqrt(np.maximum(squares, 0.0)))

        return RandomCovariance(sd, errors(relative * safe[:, None]), correlation, errors(of_correlation))


@dataclass(frozen=True)
class RandomCovariance:
    """Standard deviations (q,) and correlations (q, q) of the random terms, with the standard errors of both."""

    sd: Vector
    errors: Vector
    correlation: Matrix
    correlation_errors: Matrix


def in_table_units(objective: Objective, theta: Vector, at: Derivatives) -> Estimates:
    """Undo the standardisation and, for the Gaussian family, the division by phi; both exactly.

    At a maximum the gradient is 0, so the covariance follows the parameters by their Jacobian.
    """
    pattern, transform = Pattern(objective.layout.blocks), objective.to_table()
    values = transform @ theta
    covariance = transform @ np.linalg.inv(-at.hessian) @ transform.T
    p, position, z_centre = len(theta) - pattern.size, objective.scale_position, objective.units.z_centre
    singular = bool((theta[p:][pattern.diagonal] < SINGULAR).any())
    if position is None:
        return Estimates(values[:p], values[p:], z_centre, None, covariance, singular)
    psi = values[position]
    others = np.delete(np.arange(len(values)), position)
    jacobian = np.zeros((len(values), len(values)))
    jacobian[np.arange(len(others)), others] = 1.0 / psi
    jacobian[: len(others), position] = -values[others] / psi**2
    jacobian[-1, position] = -1.0 / psi**2
    scaled = values[others] / psi
    covariance = jacobian @ covariance @ jacobian.T
    return Estimates(scaled[:position], scaled[position:], z_centre, float(1.0 / psi), covariance, singular)


def effective_parameters(unpenalised: Derivatives, penalised: Derivatives) -> float:
    """Effective degrees of freedom: trace of (penalised information)^-1 (information); P without a penalty."""
    return float(np.trace(np.linalg.solve(penalised.hessian, unpenalised.hessian)))


@dataclass(frozen=True)
class Wald:
    """Test and confidence interval of one estimate."""

    statistic: float
    p_value: float
    lower: float
    upper: float

    @staticmethod
    def of(estimate: float, std_error: float, degrees_of_freedom: float | None = None) -> Wald:
        """Two-sided, at the level of CONFIDENCE; normal unless degrees of freedom for Student's t are given."""
        statistic = estimate / std_error
        level = 0.5 + CONFIDENCE / 2.0
        if degrees_of_freedom is None:
            quantile, beyond = float(ndtri(level)), float(ndtr(-abs(statistic)))
        else:
            quantile = float(stdtrit(degrees_of_freedom, level))
            beyond = float(stdtr(degrees_of_freedom, -abs(statistic)))
        reach = quantile * std_error
        return Wald(statistic, 2.0 * beyond, estimate - reach, estimate + reach)
