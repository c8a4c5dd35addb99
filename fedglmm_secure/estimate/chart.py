"""Newton's steps in the covariance matrix of several random terms (docs/mathematics.md, section 4).

In tau, the entries of Lambda, a fit near a correlation of +-1 or a variance of 0 has to go round a narrow bend: the
variance of a slope is a sum of two squares that the data fix well, how it divides among them they do not. In Sigma =
Lambda Lambda' the bend is straight, and the edge of the positive semidefinite matrices is met by a step that stays
within it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedglmm_secure.estimate.trust_region import Tensor
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector

UNRESOLVED = 1e-5
"""Share of the Jacobian's largest singular value below which rounding hides the second derivatives in Sigma."""
ZERO = 1e-6
"""A column of Lambda below this has no slope that could be told from rounding; its curvature tells instead."""


@dataclass(frozen=True)
class Chart:
    """Coordinates (beta, entries of Sigma = Lambda Lambda') for theta = (beta, tau), in the order of tau."""

    pattern: Pattern

    @cached_property
    def second(self) -> Tensor:
        """The constant second derivatives of Sigma's entries in tau, shape (m, m, m)."""
        r, c = self.pattern.entries
        i, j, a, b = r[:, None, None], c[:, None, None], r[None, :, None], r[None, None, :]
        return np.asarray((c[:, None] == c) * (1.0 * ((i == a) & (j == b)) + ((i == b) & (j == a))))

    def covariance(self, theta: Vector) -> Matrix:
        """Sigma, (q, q)."""
        Lambda = self.pattern.factor(theta[len(theta) - self.pattern.size :])
        return np.asarray(Lambda @ Lambda.T)

    def coordinates(self, theta: Vector) -> Vector:
        """(beta, entries of Sigma)."""
        return np.append(theta[: len(theta) - self.pattern.size], self.covariance(theta)[self.pattern.entries])

    def jacobian(self, theta: Vector) -> Matrix:
        """Derivatives of the coordinates in theta."""
        first = len(theta) - self.pattern.size
        result = np.eye(len(theta))
        result[first:, first:] = self.second @ theta[first:]
        return result

    def from_theta(self, theta: Vector, at: Derivatives) -> Derivatives:
        """Derivatives in theta as derivatives in the coordinates.

        A column of Lambda that is 0 has no slope, but its curvature is twice the slope in Sigma there. What rounding
        hides of the second derivatives is left at 0.
        """
        first = len(theta) - self.pattern.size
        tau, hessian = theta[first:], at.hessian[first:, first:]
        jacobian, columns = self.jacobian(theta), self.pattern.entries[1]
        equations, values = [jacobian[first:, first:].T], [at.gradient[first:]]
        for column in range(self.pattern.q):
            entries = np.flatnonzero(columns == column)
            if np.abs(tau[entries]).max() < ZERO:
                equations.append(self.second[:, entries][:, :, entries].reshape(len(tau), -1).T)
                values.append(hessian[np.ix_(entries, entries)].ravel())
        slope = np.linalg.lstsq(np.concatenate(equations), np.concatenate(values), rcond=1e-10)[0]
        back = np.linalg.pinv(jacobian, rcond=UNRESOLVED)
        straight = at.hessian.copy()
        straight[first:, first:] -= np.tensordot(slope, self.second, 1)
        return Derivatives(at.value, np.append(at.gradient[:first], slope), back.T @ straight @ back)

    def to_theta(self, theta: Vector, at: Derivatives) -> Derivatives:
        """The inverse of ``from_theta``."""
        first, jacobian = len(theta) - self.pattern.size, self.jacobian(theta)
        hessian = jacobian.T @ at.hessian @ jacobian
        hessian[first:, first:] += np.tensordot(at.gradient[first:], self.second, 1)
        return Derivatives(at.value, jacobian.T @ at.gradient, hessian)
