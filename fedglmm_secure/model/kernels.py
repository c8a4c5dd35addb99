"""Compiled loops over rows and nodes for the logit link with a random intercept and weights of 1.

Imported only where Numba is installed and there is enough to compute (fast.py). Arrays have the shapes of a tile: G
groups of L rows, of which the first ``sizes[g]`` count, and K nodes. ``odds`` is e^eta of each row at v = 0, ``factor``
is e^(sigma v) of each group and node: no exponential is left within the loops, and sums of log(1 + e^eta) are
logarithms of products. x is kept as ``columns``: (p, (G + 1) L), filled up with zeros to a multiple of 4 columns.
Loops release the interpreter's lock, and write to their last arguments alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

from fedglmm_secure.model.design import Index, Matrix
from fedglmm_secure.model.rows import Tensor
from fedglmm_secure.ring import Vector

F = TypeVar("F", bound=Callable[..., Any])

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
def standardise(
    x: Matrix, kept: Index, centre: Vector, factor: Vector, firsts: Index, sizes: Index, columns: Matrix
) -> None:
    """(x - centre) factor of the kept columns, group by group; four rows at a time, not to wait for memory."""
    p, length = len(kept), columns.shape[1] // (len(sizes) + 1)
    columns[p:] = 0.0
    for g in range(len(sizes)):
        four = sizes[g] // 4 * 4
        for low in range(0, four, 4):
            row, at = firsts[g] + low, g * length + low
            x0, x1, x2, x3 = x[row], x[row + 1], x[row + 2], x[row + 3]
            for c in range(p):
                k, a, b = kept[c], centre[c], factor[c]
                columns[c, at], columns[c, at + 1] = (x0[k] - a) * b, (x1[k] - a) * b
                columns[c, at + 2], columns[c, at + 3] = (x2[k] - a) * b, (x3[k] - a) * b
        for j in range(four, sizes[g]):
            for c in range(p):
                columns[c, g * length + j] = (x[firsts[g] + j, kept[c]] - centre[c]) * factor[c]
        columns[:, g * length + sizes[g] : (g + 1) * length] = 0.0


@_compiled
def newton_sums(odds: Matrix, factor: Matrix, sizes: Index, mean: Matrix, variance: Matrix) -> None:
    """Sums of mu and of mu (1 - mu) at one v for each group, each (G, 1)."""
    for g in range(len(sizes)):
        f, s1, s2 = factor[g, 0], 0.0, 0.0
        for e in odds[g, : sizes[g]]:
            inverse = 1.0 / (1.0 + e * f)
            mu = e * f * inverse
            s1 += mu
            s2 += mu * inverse
        mean[g, 0], variance[g, 0] = s1, s2


@_compiled
def _rows_a_logarithm(odds: Vector, factor: Vector) -> int:
    """How many factors 1 + e^eta may be multiplied before the product is no double."""
    highest_odds = highest_factor = 0.0
    for e in odds:
        highest_odds = max(highest_odds, e)
    for f in factor:
        highest_factor = max(highest_factor, f)
    return int(max(min(CHUNK, LOG_LARGEST / (1e-3 + math.log1p(highest_odds * highest_factor))), 1.0))


@_compiled
def mode_sums(odds: Matrix, factor: Vector, sizes: Index, sums: Matrix, curves: Tensor) -> None:
    """Sums of log(1 + e^eta), mu, l'', l''' and l'''' at the modes, (5, G); the last three of each row, (G, 3, L)."""
    for g in range(len(sizes)):
        f, many = factor[g], _rows_a_logarithm(odds[g, : sizes[g]], factor[g : g + 1])
        b = mean = s2 = s3 = s4 = 0.0
        for low in range(0, sizes[g], many):
            high = min(low + many, sizes[g])
            chunk, product = odds[g, low:high], 1.0
            l2, l3, l4 = curves[g, 0, low:high], curves[g, 1, low:high], curves[g, 2, low:high]
            for j in range(high - low):
                e = chunk[j] * f
                inverse = 1.0 / (1.0 + e)
                mu = e * inverse
                variance = mu * inverse
                third, fourth = variance * (1.0 - 2.0 * mu), variance * (1.0 - 6.0 * variance)
                product *= 1.0 + e
                mean += mu
                s2 -= variance
                s3 -= third
                s4 -= fourth
                l2[j], l3[j], l4[j] = -variance, -third, -fourth
            b += math.log(product)
        curves[g, :, sizes[g] :] = 0.0
        sums[0, g], sums[1, g], sums[2, g], sums[3, g], sums[4, g] = b, mean, s2, s3, s4


@_compiled
def node_sums(odds: Matrix, y: Matrix, factor: Matrix, sizes: Index, sums: Tensor, stacked: Tensor) -> None:
    """Sums of log(1 + e^eta), y - mu and -mu (1 - mu), (3, G, K); y - mu of each row is ``stacked[:, :K]``."""
    K = factor.shape[1]
    sums[:] = 0.0
    for g in range(len(sizes)):
        many = _rows_a_logarithm(odds[g, : sizes[g]], factor[g])
        for low in range(0, sizes[g], many):
            high = min(low + many, sizes[g])
            chunk, response = odds[g, low:high], y[g, low:high]
            for k in range(K):
                f, product, s1, s2 = factor[g, k], 1.0, 0.0, 0.0
                out = stacked[g, k, low:high]
                for j in range(high - low):
                    e = chunk[j] * f
                    inverse = 1.0 / (1.0 + e)
                    mu = e * inverse
                    residual = response[j] - mu
                    out[j] = residual
                    product *= 1.0 + e
                    s1 += residual
                    s2 -= mu * inverse
                sums[0, g, k] += math.log(product)
                sums[1, g, k] += s1
                sums[2, g, k] += s2
        stacked[g, :K, sizes[g] :] = 0.0


@_compiled
def average_curvature(odds: Matrix, factor: Matrix, averaging: Tensor, sizes: Index, averages: Tensor) -> None:
    """l'' = -mu (1 - mu) averaged over nodes with each of the weights ``averaging`` (G, 2, K): (G, 2, L)."""
    for g in range(len(sizes)):
        for low in range(0, sizes[g], CHUNK):
            high = min(low + CHUNK, sizes[g])
            chunk, first, second = odds[g, low:high], averages[g, 0, low:high], averages[g, 1, low:high]
            first[:] = 0.0
            second[:] = 0.0
            for k in range(factor.shape[1]):
                f, a0, a1 = factor[g, k], averaging[g, 0, k], averaging[g, 1, k]
                for j in range(high - low):
                    e = chunk[j] * f
                    inverse = 1.0 / (1.0 + e)
                    curvature = -e * inverse * inverse
                    first[j] += a0 * curvature
                    second[j] += a1 * curvature
        averages[g, :, sizes[g] :] = 0.0


@_compiled
def sums_of_x(rows: Tensor, columns: Matrix, first: int, stride: int, result: Tensor) -> None:
    """Rows (G, M, n), M being a multiple of 4, times x: (G, M, p). Group g's x starts at column first + g stride."""
    n = rows.shape[2]
    many = _rows_in_cache(columns)
    result[:] = 0.0
    for g in range(len(rows)):
        for low in range(0, n, many):
            high = min(low + many, n)
            _add_products(rows, g, low, high, columns, first + g * stride + low, False, result[g])


@_compiled
def cross_product(columns: Matrix, weights: Vector, result: Matrix) -> None:
    """The lower triangle of x' diag(weights) x."""
    p, n = len(columns), len(weights)
    many = _rows_in_cache(columns)
    weighted = np.empty((1, p, many))
    result[:] = 0.0
    for low in range(0, n, many):
        high = min(low + many, n)
        part = weights[low:high]
        for c in range(p):
            source, out = columns[c, low:high], weighted[0, c]
            for j in range(high - low):
                out[j] = source[j] * part[j]
        _add_products(weighted, 0, 0, high - low, columns, low, True, result)


@_compiled
def _rows_in_cache(columns: Matrix) -> int:
    """Rows of which x stays in the second-level cache, twice."""
    return int(max(min(512, 2**15 // columns.shape[0]), CHUNK))


@_compiled
def _add_products(
    rows: Tensor, g: int, low: int, high: int, columns: Matrix, first: int, triangle: bool, result: Matrix
) -> None:
    """Add rows[g, :, low:high] columns[:, first:...]'; eight sums at a time, as many as keep the multipliers busy."""
    n = high - low
    for i in range(0, rows.shape[1], 4):
        a0, a1 = rows[g, i, low:high], rows[g, i + 1, low:high]
        a2, a3 = rows[g, i + 2, low:high], rows[g, i + 3, low:high]
        for k in range(0, i + 4 if triangle else columns.shape[0], 2):
            b0, b1 = columns[k, first : first + n], columns[k + 1, first : first + n]
            s00 = s01 = s10 = s11 = s20 = s21 = s30 = s31 = 0.0
            for j in range(n):
                c0, c1 = b0[j], b1[j]
                s00 += a0[j] * c0
                s01 += a0[j] * c1
                s10 += a1[j] * c0
                s11 += a1[j] * c1
                s20 += a2[j] * c0
                s21 += a2[j] * c1
                s30 += a3[j] * c0
                s31 += a3[j] * c1
            result[i, k] += s00
            result[i, k + 1] += s01
            result[i + 1, k] += s10
            result[i + 1, k + 1] += s11
            result[i + 2, k] += s20
            result[i + 2, k + 1] += s21
            result[i + 3, k] += s30
            result[i + 3, k + 1] += s31
