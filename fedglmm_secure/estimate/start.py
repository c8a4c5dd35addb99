"""Everything that the first sum decides: which columns are kept, their units, and where Newton's method starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import unpack_symmetric
from fedglmm_secure.model.description import GRID, Description
from fedglmm_secure.model.design import Layout, Matrix
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

RANK_TOLERANCE = 1e-10
"""Share of a column's sum of squares that must remain once the columns before it are projected out. R's lm and lme4 use
1e-7 on the root of this share; the fixed-point sums carry about 13 digits of the square."""


@dataclass(frozen=True)
class Start:
    """The pooled description, the units of the fit, and theta = (beta, tau) in those units."""

    description: Description
    units: Units
    dropped_columns: tuple[str, ...]
    theta: Vector

    @staticmethod
    def read(total: Vector, layout: Layout) -> Start:
        """From the total of Describe. Raises FitError when no column, or not the response, carries information."""
        p = len(layout.columns)
        triangle = p * (p + 1) // 2
        head = total.shape[0] - triangle - len(GRID) * (1 + p + triangle)
        description = Description.unpack(total[:head], layout)
        columns = independent_columns(unpack_symmetric(total[head : head + triangle], p))
        if not columns:
            raise FitError("no fixed effect varies in the pooled data: there is nothing to estimate")
        gaussian = layout.family == "gaussian"
        if gaussian and p - 1 not in columns:
            raise FitError(f"{layout.columns[-1]} is determined by the fixed effects: there is no residual to estimate")
        rows = description.rows if gaussian else 0.0
        quadratics = [Quadratic.read(row, columns, p, rows) for row in total[head + triangle :].reshape(len(GRID), -1)]
        beta, sigma = _maximum(quadratics)
        pattern, units = Pattern(layout.blocks), description.units(layout, columns)
        tau = np.zeros(pattern.size)
        tau[pattern.diagonal] = sigma
        ranged = Units.of_ranges(layout, columns).to_table(pattern) @ np.concatenate([beta, tau])
        theta = np.linalg.solve(units.to_table(pattern), ranged)
        dropped = tuple(name for i, name in enumerate(layout.columns) if i not in columns)
        return Start(description, units, dropped, theta)


def independent_columns(products: Matrix) -> tuple[int, ...]:
    """Columns that are no linear combination of those before them, from X'X; as in R, the first ones stay."""
    kept: list[int] = []
    for j in range(products.shape[0]):
        explained = 0.0
        if kept:
            inner = products[np.ix_(kept, kept)]
            scale = 1.0 / np.sqrt(np.diag(inner))
            cross = products[kept, j] * scale
            explained = float(cross @ np.linalg.solve(inner * np.outer(scale, scale), cross))
        if products[j, j] - explained > RANK_TOLERANCE * products[j, j]:
            kept.append(j)
    return tuple(kept)


@dataclass(frozen=True)
class Quadratic:
    """The pooled working model at one sigma, at its maximum in beta."""

    value: float
    beta: Vector

    @staticmethod
    def read(row: Vector, columns: tuple[int, ...], p: int, rows: float) -> Quadratic:
        """Maximise slope' beta - beta' A beta / 2 [+ n log beta_scale for the Gaussian family, n = ``rows``].

        With the logarithm, slope is 0 and beta = n / beta_scale times the last column of A^-1.
        """
        kept = list(columns)
        slope = row[1 : 1 + p][kept]
        A = unpack_symmetric(row[1 + p :], p)[np.ix_(kept, kept)]
        if rows:
            direction = np.linalg.lstsq(A, np.eye(len(kept))[-1], rcond=None)[0]
            scale = np.sqrt(rows * direction[-1])
            return Quadratic(float(row[0] + rows * np.log(scale)), rows / scale * direction)
        beta: Vector = np.asarray(np.linalg.lstsq(A, slope, rcond=None)[0], dtype=np.float64)
        return Quadratic(float(row[0] + 0.5 * slope @ beta), beta)


def _maximum(quadratics: list[Quadratic]) -> tuple[Vector, float]:
    """beta and sigma at which the pooled working model is largest: a parabola in log sigma through its best points."""
    values, betas = [each.value for each in quadratics], np.array([each.beta for each in quadratics])
    logs = np.log(GRID)
    best = min(max(int(np.argmax(values)), 1), len(GRID) - 2)
    near = slice(best - 1, best + 2)
    second, first, _ = np.polyfit(logs[near], np.array(values)[near], 2)
    peak = -first / (2.0 * second) if second < 0.0 else logs[int(np.argmax(values))]
    peak = float(np.clip(peak, logs[0], logs[-1]))
    beta = np.array([np.interp(peak, logs, path) for path in betas.T])
    return beta, float(np.exp(peak))
