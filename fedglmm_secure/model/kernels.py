"""Compiled loops over rows and nodes for the logit link: what NumPy does in one pass over memory for each operation.

Imported only where Numba is installed and there is enough to compute (``compiled.py``). Arrays have the shapes of a
tile: G groups of L rows, of which the first ``sizes[g]`` count, and K nodes. ``odds`` is e^eta of each row at v = 0 and
``factor`` is e^(sigma v) of each group and node, so that no exponential is left within the loops; the logarithms of
1 + e^eta are those of products. Loops release the interpreter's lock and write only to their ``out`` arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba

from fedglmm_secure.model.design import Index, Matrix
from fedglmm_secure.model.tensors import Tensor

F = TypeVar("F", bound=Callable[..., None])

CHUNK = 64
"""Rows worked on at a time: with all nodes they stay in the first-level cache."""
LOG_LARGEST = 700.0
"""Logarithm of about the largest double."""


def _compiled(function: F) -> F:
    """Sums may be taken in any order, as BLAS does, which lets the compiler use the processor's full width."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no directory to keep compiled code in
        compiled = numba.njit(**options)(function)
    result: F = compiled
    return result


@_compiled
def newton_sums(odds: Matrix, factor: Matrix, sizes: Index, mean: Matrix, variance: Matrix) -> None:
    """Sums of mu and of mu (1 - mu) over rows at one v for each group, each (G, 1)."""
    for g in range(len(sizes)):
        f, s1, s2 = factor[g, 0], 0.0, 0.0
        for e in odds[g, : sizes[g]]:
            inverse = 1.0 / (1.0 + e * f)
            mu = e * f * inverse
            s1 += mu
            s2 += mu * inverse
        mean[g, 0], variance[g, 0] = s1, s2


@_compiled
def node_sums(
    odds: Matrix, y: Matrix, factor: Matrix, sizes: Index, b: Matrix, S1: Matrix, variance: Matrix, residuals: Tensor
) -> None:
    """Sums of log(1 + e^eta), y - mu and mu (1 - mu) over rows, each (G, K), and the residuals y - mu, (G, K, L)."""
    for g in range(len(sizes)):
        highest_odds = highest_factor = 0.0
        for e in odds[g, : sizes[g]]:
            highest_odds = max(highest_odds, e)
        for f in factor[g]:
            highest_factor = max(highest_factor, f)
        # so many rows that their product is a double
        many = max(min(CHUNK, int(LOG_LARGEST / math.log1p(highest_odds * highest_factor))), 1)
        for k in range(factor.shape[1]):
            b[g, k] = S1[g, k] = variance[g, k] = 0.0
        for low in range(0, sizes[g], many):
            high = min(low + many, sizes[g])
            chunk, response = odds[g, low:high], y[g, low:high]
            for k in range(factor.shape[1]):
                f, product, s1, s2 = factor[g, k], 1.0, 0.0, 0.0
                out = residuals[g, k, low:high]
                for j in range(high - low):
                    e = chunk[j] * f
                    inverse = 1.0 / (1.0 + e)
                    mu = e * inverse
                    residual = response[j] - mu
                    out[j] = residual
                    product *= 1.0 + e
                    s1 += residual
                    s2 += mu * inverse
                b[g, k] += math.log(product)
                S1[g, k] += s1
                variance[g, k] += s2


@_compiled
def average_curvature(odds: Matrix, factor: Matrix, averaging: Tensor, sizes: Index, averages: Tensor) -> None:
    """l'' = -mu (1 - mu) averaged over nodes with each of the weights ``averaging`` (G, 2, K): (G, 2, L)."""
    for g in range(len(sizes)):
        for low in range(0, sizes[g], CHUNK):
            high = min(low + CHUNK, sizes[g])
            chunk, first, second = odds[g, low:high], averages[g, 0, low:high], averages[g, 1, low:high]
            for j in range(high - low):
                first[j] = second[j] = 0.0
            for k in range(factor.shape[1]):
                f, a0, a1 = factor[g, k], averaging[g, 0, k], averaging[g, 1, k]
                for j in range(high - low):
                    e = chunk[j] * f
                    inverse = 1.0 / (1.0 + e)
                    curvature = -e * inverse * inverse
                    first[j] += a0 * curvature
                    second[j] += a1 * curvature
