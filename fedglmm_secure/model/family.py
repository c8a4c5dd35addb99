"""Response families: the log-density of one row and its derivatives in the linear predictor eta.

Each family is one class; nothing else in the project knows which family it is working with. All have their canonical
link, so the log-density is l = w (y eta - b(eta)) and a family is its cumulant function b (McCullagh and Nelder 1989,
section 2.2). Derivatives go to the fourth order, which is what the exact Hessian of the Laplace approximation needs
(docs/mathematics.md, section 2). What no parameter enters (binomial coefficients, log y!) is ``Design.constant``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from fedglmm_secure.model.design import Matrix
from fedglmm_secure.ring import Vector

MODERATE = 300.0
"""Up to this |eta|, e^eta may be taken as a product of two exponentials: neither they nor its square overflow."""


class Family(ABC):
    """What the marginal likelihood needs of a family: l = w (y eta - b(eta)), given b and its derivatives."""

    name: str

    @abstractmethod
    def cumulants(self, eta: Matrix, shift: Matrix, first: int, last: int) -> tuple[Matrix, ...]:
        """The derivatives of orders ``first`` to ``last`` (at most 4) of b at eta + shift, which broadcast.

        Where they do broadcast (a row's eta, a group's shift), transcendental functions are taken of each alone.
        """

    @abstractmethod
    def first_eta(self, y: Vector) -> Vector:
        """A linear predictor near each response, from which reweighted least squares starts (as R's glm does)."""

    def derivatives(self, eta: Matrix, y: Vector, weights: Vector, order: int) -> tuple[Matrix, ...]:
        """l, l', ..., up to ``order``, each of eta's shape (..., n); y and weights have shape (n,)."""
        b = self.cumulants(eta, np.zeros(1), 0, order)
        head = (weights * (y * eta - b[0]), weights * (y - b[1])) if order else (weights * (y * eta - b[0]),)
        return (*head, *(-weights * higher for higher in b[2:]))


class Binomial(Family):
    """Logit link, y in [0, 1]: b = log(1 + e^eta).

    With mu = 1 / (1 + e^-eta) and v = mu (1 - mu): b' = mu, b'' = v, b''' = v (1 - 2 mu), b'''' = v (1 - 6 v). Far
    out, all are written in exp(-|eta|), so that no eta overflows and v keeps its digits in both tails.
    """

    name = "binomial"

    def cumulants(self, eta: Matrix, shift: Matrix, first: int, last: int) -> tuple[Matrix, ...]:
        """See Family.cumulants."""
        if _moderate(eta, shift):
            odds = _exponential(eta, shift)
            b = () if first else (np.log1p(odds),)
            inverse = odds + 1.0
            np.divide(1.0, inverse, out=inverse)
            mu = np.multiply(odds, inverse, out=odds)
            variance = np.multiply(mu, inverse, out=inverse)
        else:
            eta = eta + shift
            small = np.exp(-np.abs(eta))
            b = () if first else (np.maximum(eta, 0.0) + np.log1p(small),)
            inverse = 1.0 / (1.0 + small)
            mu = np.where(eta >= 0.0, inverse, small * inverse)
            variance = small * inverse * inverse
        if last > 2:
            return (*b, mu, variance, variance * (1.0 - 2.0 * mu), variance * (1.0 - 6.0 * variance))
        return (*b, mu, variance)[: last + 1 - first]

    def first_eta(self, y: Vector) -> Vector:
        """See Family.first_eta."""
        return np.asarray(np.log((y + 0.5) / (1.5 - y)))


class Poisson(Family):
    """Log link: b = e^eta, and so is every derivative."""

    name = "poisson"

    def cumulants(self, eta: Matrix, shift: Matrix, first: int, last: int) -> tuple[Matrix, ...]:
        """See Family.cumulants. Where e^eta overflows, values are infinite and are refused before they are sent."""
        with np.errstate(over="ignore"):
            mean = _exponential(eta, shift) if _moderate(eta, shift) else np.exp(eta + shift)
        return (mean,) * (last + 1 - first)

    def first_eta(self, y: Vector) -> Vector:
        """See Family.first_eta."""
        return np.asarray(np.log(y + 0.1))


class Gaussian(Family):
    """Identity link and unit variance: b = eta^2 / 2.

    The residual standard deviation is the coefficient of the response in the design (see Design), which leaves a
    linear predictor of unit variance here, and y = 0.
    """

    name = "gaussian"

    def cumulants(self, eta: Matrix, shift: Matrix, first: int, last: int) -> tuple[Matrix, ...]:
        """See Family.cumulants."""
        eta = eta + shift
        one, zero = np.broadcast_to(1.0, eta.shape), np.broadcast_to(0.0, eta.shape)
        return (0.5 * eta * eta, eta, one, zero, zero)[first : last + 1]

    def first_eta(self, y: Vector) -> Vector:
        """See Family.first_eta."""
        return y


def _moderate(eta: Matrix, shift: Matrix) -> bool:
    """Whether |eta + shift| stays within MODERATE (False for NaN)."""
    return eta.size == 0 or bool(np.abs(eta).max() + np.abs(shift).max() <= MODERATE)


def _exponential(eta: Matrix, shift: Matrix) -> Matrix:
    """e^(eta + shift), broadcast only after the exponentials if each row of eta meets one shift."""
    if shift.shape[-1] == 1:
        return np.asarray(np.exp(eta) * np.exp(shift))
    both = eta + shift
    return np.exp(both, out=both)


FAMILIES: dict[str, Family] = {family.name: family for family in (Binomial(), Poisson(), Gaussian())}
