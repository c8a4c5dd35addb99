"""Everything that the first sum decides: which columns are kept, their units, and where Newton's method starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.model.answers import unpack_symmetric
from fedglmm_secure.model.description import GRID, Description, Standardisation
from fedglmm_secure.model.design import Layout, Matrix
from fedglmm_secure.ring import Vector

RANK_TOLERANCE = 1e-10
"""Share of a column's sum of squares that must remain once the columns before it are projected out. R's lm and lme4 use
1e-7 on the root of this share; the fixed-point sums carry about 13 digits of the square."""


@dataclass(frozen=True)
class Start:
    """The pooled description, the units of the fit, and theta = (beta, sigma) in those units."""

    description: Description
    units: Standardisation
    dropped_columns: tuple[str, ...]
    theta: Vector

    @staticmethod
    def read(total: Vector, layout: Layout) -> Start:
        """From the total of Describe. Raises FitError when no column carries information."""
        p = len(layout.columns)
        triangle = p * (p + 1) // 2
        head = total.shape[0] - triangle - len(GRID) * (1 + p + triangle)
        description = Description.unpack(total[:head], layout)
        products = unpack_symmetric(total[head : head + triangle], p)
        columns = independent_columns(products)
        if not columns:
            raise FitError("no fixed effect varies in the pooled data: there is nothing to estimate")
        units = description.standardisation(layout, columns)
        beta, sigma = _maximum(total[head + triangle :].reshape(len(GRID), -1), columns, p)
        ranged = Standardisation(
            columns,
            np.array(layout.centre)[list(columns)],
            np.array(layout.half)[list(columns)],
            layout.intercept,
        )
        theta = np.append(np.linalg.solve(units.to_original(), ranged.to_original() @ beta), sigma)
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


def _maximum(quadratics: Matrix, columns: tuple[int, ...], p: int) -> tuple[Vector, float]:
    """beta and sigma at which the pooled working model is largest: a parabola in log sigma through its best points."""
    kept = list(columns)
    values, betas = [], []
    for row in quadratics:
        slope = row[1 : 1 + p][kept]
        curvature = unpack_symmetric(row[1 + p :], p)[np.ix_(kept, kept)]
        beta = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        values.append(row[0] + 0.5 * slope @ beta)
        betas.append(beta)
    logs = np.log(GRID)
    best = min(max(int(np.argmax(values)), 1), len(GRID) - 2)
    near = slice(best - 1, best + 2)
    second, first, _ = np.polyfit(logs[near], np.array(values)[near], 2)
    peak = -first / (2.0 * second) if second < 0.0 else logs[int(np.argmax(values))]
    peak = float(np.clip(peak, logs[0], logs[-1]))
    beta = np.array([np.interp(peak, logs, path) for path in np.array(betas).T])
    return beta, float(np.exp(peak))
