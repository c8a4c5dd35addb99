"""Response families: the log-density of one row and its derivatives in the linear predictor eta.

Each family is one class; nothing else in the project knows which family it is working with. Derivatives go to the
fourth order, which is what the exact Hessian of the Laplace approximation needs (docs/mathematics.md, section 2).
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
        """l, l', ..., up to ``order`` <= 4, each of eta's shape (..., n); y and weights have shape (n,)."""
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
        total = 1.0 + small
        values = [weights * (y * eta - np.maximum(eta, 0.0) - np.log1p(small))]
        if order >= 1:
            mu = np.where(eta >= 0.0, 1.0, small) / total
            values.append(weights * (y - mu))
        if order >= 2:
            variance = small / (total * total)
            values.append(-weights * variance)
        if order >= 3:
            values.append(values[2] * (1.0 - 2.0 * mu))
            values.append(values[2] * (1.0 - 6.0 * variance))
        return tuple(values[: order + 1])


FAMILIES: dict[str, Family] = {family.name: family for family in (Binomial(),)}
