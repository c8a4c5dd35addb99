"""Response families: the log-density of one row and its derivatives in the linear predictor eta.

Each family is one class; nothing else in the project knows which family it is working with. Derivatives go to the
fourth order, which is what the exact Hessian of the Laplace approximation needs (docs/mathematics.md, section 2).
What no parameter enters (binomial coefficients, log y!) is ``Design.constant``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector


class Family(Protocol):
    """What the marginal likelihood needs of a family."""

    name: str

    def derivatives(self, eta: Matrix, y: Vector, weights: Vector, order: int) -> tuple[Matrix, ...]:
        """l, l', ..., up to ``order`` (0, 2 or 4), each of eta's shape (..., n); y and weights have shape (n,)."""
        ...

    def first_eta(self, y: Vector) -> Vector:
        """A linear predictor near each response, from which reweighted least squares starts (as R's glm does)."""
        ...


class Binomial:
    """Logit link: l = w (y eta - log(1 + e^eta)), y in [0, 1].

    With mu = 1 / (1 + e^-eta) and v = mu (1 - mu): l' = w (y - mu), l'' = -w v, l''' = -w v (1 - 2 mu),
    l'''' = -w v (1 - 6 v). Written in exp(-|eta|) so that no eta overflows and v keeps its digits in both tails.
    """

    name = "binomial"

    def derivatives(self, eta: Matrix, y: Vector, weights: Vector, order: int) -> tuple[Matrix, ...]:
        """See Family.derivatives."""
        small = np.exp(-np.abs(eta))
        density = weights * (y * eta - np.maximum(eta, 0.0) - np.log1p(small))
        if order == 0:
            return (density,)
        inverse = 1.0 / (1.0 + small)
        mu = np.where(eta >= 0.0, inverse, small * inverse)
        variance = small * inverse * inverse
        first, second = weights * (y - mu), -weights * variance
        if order == 2:
            return density, first, second
        return density, first, second, second * (1.0 - 2.0 * mu), second * (1.0 - 6.0 * variance)

    def first_eta(self, y: Vector) -> Vector:
        """See Family.first_eta."""
        return np.asarray(np.log((y + 0.5) / (1.5 - y)))


class Poisson:
    """Log link: l = w (y eta - e^eta); every further derivative is -w e^eta."""

    name = "poisson"

    def derivatives(self, eta: Matrix, y: Vector, weights: Vector, order: int) -> tuple[Matrix, ...]:
        """See Family.derivatives. Where e^eta overflows, values are infinite and are refused before they are sent."""
        with np.errstate(over="ignore"):
            mean = weights * np.exp(eta)
        weighted = weights * y
        values = (weighted * eta - mean, weighted - mean, -mean, -mean, -mean)
        return values[: order + 1]

    def first_eta(self, y: Vector) -> Vector:
        """See Family.first_eta."""
        return np.asarray(np.log(y + 0.1))


class Gaussian:
    """Identity link and unit variance: l = -w (y - eta)^2 / 2.

    The residual standard deviation is the coefficient of the response in the design (see Design), which leaves a
    linear predictor of unit variance here.
    """

    name = "gaussian"

    def derivatives(self, eta: Matrix, y: Vector, weights: Vector, order: int) -> tuple[Matrix, ...]:
        """See Family.derivatives."""
        residual = y - eta
        second = np.broadcast_to(-weights, eta.shape)
        zero = np.broadcast_to(0.0, eta.shape)
        values = (-0.5 * weights * residual * residual, weights * residual, second, zero, zero)
        return values[: order + 1]

    def first_eta(self, y: Vector) -> Vector:
        """See Family.first_eta."""
        return y


FAMILIES: dict[str, Family] = {family.name: family for family in (Binomial(), Poisson(), Gaussian())}
