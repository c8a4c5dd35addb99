"""Everything that the first sum decides: which columns are kept, their units, and where Newton's method starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.reach import Reach
from fedglmm_secure.estimate.trust_region import Step, propose
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives, unpack_symmetric
from fedglmm_secure.model.description import Description, grid
from fedglmm_secure.model.design import INTERCEPT, Index, Layout, Matrix
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

RANK_TOLERANCE = 1e-10
"""Share of a column's sum of squares that must remain once the columns before it are projected out. R's lm and lme4 use
1e-7 on the root of this share; the fixed-point sums carry about 13 digits of the square."""
ROUNDING = 1e-11
"""What is left of a sum of squares may be this much by the rounding of 255 sites' sums alone."""

Grid = tuple[tuple[float, ...], ...]

LOG_PRECISIONS = (np.log(1e-8), np.log(1e10))
"""Between which the precision of a group's intercept is looked for."""
LARGEST_START = 3.0
LONGEST_SHARE = 1.5
"""How far beta is carried beyond its value at the larger of the two points."""
LONGEST_STEP = 1.0 / 3.0
"""From a point of the grid, relative to the standard deviations there: neighbours are a factor 3 apart."""


@dataclass(frozen=True)
class StandIn:
    """A level that takes the place of a category's reference, which no row has, as R's ``droplevels`` has it.

    Its ``columns`` are looked at last for the rank of the design, so that they are the ones to be dropped.
    """

    reference: str
    level: str
    """Both in the words of ``Layout.levels``."""
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Start:
    """The pooled description, the units of the fit, and theta = (beta, tau) in those units."""

    description: Description
    units: Units
    dropped_columns: tuple[str, ...]
    theta: Vector
    reach: Reach | None
    """None for outcomes that cannot be as good as decided (only a binary one's can), and for a model with an offset."""
    stand_ins: tuple[StandIn, ...] = ()

    @staticmethod
    def read(total: Vector, layout: Layout, *, has_offset: bool = False) -> Start:
        """From the total of Describe, which says nothing of an offset.

        Raises FitError when no column, or not the response, carries information.
        """
        p, pattern = len(layout.columns), Pattern(layout.blocks)
        triangle = p * (p + 1) // 2
        P, points = p + pattern.size, grid(layout)
        size = 1 + P + P * (P + 1) // 2
        head = total.shape[0] - triangle - len(points) * size
        description = Description.unpack(total[:head], layout)
        stand_ins = tuple(find_stand_ins(layout, description))
        later = {i for stand_in in stand_ins for i in stand_in.columns}
        response = p - 1 if layout.family == "gaussian" else None
        order = sorted(range(p), key=lambda i: (i == response, i in later, i))
        products = unpack_symmetric(total[head : head + triangle], p)
        columns = independent_columns(products, order)
        if not columns:
            raise FitError("no fixed effect varies in the pooled data: there is nothing to estimate")
        _check_residual(layout, columns, description)
        _check_slopes(layout, description)
        kept = np.array([*columns, *range(p, P)])
        rows = description.rows if layout.family == "gaussian" else 0.0
        profiles = [
            Profile.of(restricted(Derivatives.unpack(row, P), kept), len(columns), rows)
            for row in total[head + triangle :].reshape(len(points), size)
        ]
        beta, tau = first_point(points, profiles, pattern, description.groups)
        units = description.units(layout, columns)
        theta = in_other_units(np.append(beta, tau), Units.of_ranges(layout, columns), units, layout)
        dropped = tuple(name for i, name in enumerate(layout.columns) if i not in columns)
        reach = None
        if layout.family == "binomial" and not has_offset:
            reach = reach_of(products[np.ix_(columns, columns)] / description.rows, description, layout, units)
            beta = theta[: len(columns)]
            beta *= reach.share_of_way(np.zeros_like(beta), beta) or 1.0
        return Start(description, units, dropped, theta, reach, stand_ins)


def reach_of(squares: Matrix, description: Description, layout: Layout, units: Units) -> Reach:
    """From the mean products of the range-scaled columns that are kept."""
    kept = list(units.columns)
    mean = description.sums[kept] / description.rows
    ranged = Units.of_ranges(layout, units.columns)
    ratio = ranged.scale / units.scale
    centre = (ranged.centre - units.centre) / units.scale + ratio * mean
    return Reach(centre, np.outer(ratio, ratio) * (squares - np.outer(mean, mean)))


def find_stand_ins(layout: Layout, description: Description) -> Iterator[StandIn]:
    """One for each category whose reference level no row has while another is there."""
    counts: dict[str, dict[str, float]] = {}
    for words, count in zip(layout.levels, description.level_counts.tolist(), strict=True):
        variable, _, level = words.partition(" = ")
        counts.setdefault(variable, {})[level] = count
    for variable, levels in counts.items():
        present = [level for level, count in levels.items() if round(count) > 0]
        if not present or present[0] == next(iter(levels)):
            continue
        name = re.compile(rf"(?:^|:){re.escape(f'{variable}[T.{present[0]}]')}(?:$|:)")
        columns = tuple(i for i, column in enumerate(layout.columns) if name.search(column))
        if columns:
            yield StandIn(f"{variable} = {next(iter(levels))}", f"{variable} = {present[0]}", columns)


def _check_residual(layout: Layout, columns: tuple[int, ...], description: Description) -> None:
    """Raise FitError for a linear model whose residual the data do not determine."""
    if layout.family != "gaussian":
        return
    if len(layout.columns) - 1 not in columns:
        raise FitError(
            f"{layout.columns[-1]} is determined by the fixed effects, or hardly varies within its declared range: "
            "there is no residual to estimate"
        )
    if layout.terms and description.groups >= description.rows:
        raise FitError(
            f"{layout.group} has as many groups as there are rows, so that its variance and the residual's cannot be "
            'told apart; use another grouping variable, or method = "glm"'
        )


def _check_slopes(layout: Layout, description: Description) -> None:
    """Raise FitError for a random term that is as good as constant beside a random intercept."""
    slopes = [term for term in layout.terms if term != INTERCEPT and term in layout.columns]
    for term in slopes if INTERCEPT in layout.terms else ():
        if description.is_constant(layout.columns.index(term)):
            raise FitError(
                f"the random term {term} hardly varies in the pooled data, within its declared range, so that it "
                "cannot be told from the random intercept; declare a narrower range, or leave the term out"
            )


def independent_columns(products: Matrix, order: Iterable[int] | None = None) -> tuple[int, ...]:
    """Columns that are no linear combination of those before them in ``order``, from X'X; as in R, the first stay."""
    kept: list[int] = []
    for j in range(products.shape[0]) if order is None else order:
        explained = 0.0
        if kept:
            inner = products[np.ix_(kept, kept)]
            scale = 1.0 / np.sqrt(np.diag(inner))
            cross = products[kept, j] * scale
            explained = float(cross @ np.linalg.solve(inner * np.outer(scale, scale), cross))
        if products[j, j] - explained > max(RANK_TOLERANCE * products[j, j], ROUNDING):
            kept.append(j)
    return tuple(sorted(kept))


def restricted(expansion: Derivatives, kept: Index) -> Derivatives:
    """To the parameters that are kept, the others being 0."""
    return Derivatives(expansion.value, expansion.gradient[kept], expansion.hessian[np.ix_(kept, kept)])


def in_other_units(theta: Vector, given: Units, wanted: Units, layout: Layout) -> Vector:
    """The same model's theta in ``wanted`` units. Other centres turn Lambda, which is brought back to its triangle."""
    pattern, p = Pattern(layout.blocks), len(given.columns)
    table = given.to_table(pattern) @ theta
    result: Vector = np.asarray(np.linalg.solve(wanted.to_table(pattern), table), dtype=np.float64)
    turned = np.linalg.solve(
        layout.z_to_table(wanted.z_centre), layout.z_to_table(given.z_centre) @ pattern.factor(table[p:])
    )
    triangle: Matrix = np.asarray(np.linalg.qr(turned.T * wanted.z_scale).R, dtype=np.float64).T
    result[p:] = pattern.with_positive_diagonal(triangle[pattern.entries])
    return result


@dataclass(frozen=True)
class Profile:
    """The pooled working model near one Lambda, maximised over beta: its value and derivatives in tau, and beta's."""

    value: float
    gradient: Vector
    hessian: Matrix
    beta: Vector
    beta_tau: Matrix

    @staticmethod
    def of(expansion: Derivatives, p: int, rows: float) -> Profile:
        """From the expansion at beta = 0, with p fixed effects, plus ``rows`` log psi, psi being the last of beta.

        With the logarithm (Gaussian family) the slope in beta is 0, and beta is the multiple rows / psi of the last
        column of the inverse curvature.
        """
        slope, curvature = expansion.gradient[:p], -expansion.hessian[:p, :p]
        cross = expansion.hessian[:p, p:]
        beta: Vector
        if rows:
            direction = np.linalg.lstsq(curvature, np.eye(p)[-1], rcond=None)[0]
            beta = np.sqrt(rows / direction[-1]) * direction
            logarithm = rows * float(np.log(beta[-1]))
        else:
            beta, logarithm = np.asarray(np.linalg.lstsq(curvature, slope, rcond=None)[0], dtype=np.float64), 0.0
        value = expansion.value + logarithm + float(slope @ beta - 0.5 * beta @ curvature @ beta)
        curvature[-1, -1] += rows / beta[-1] ** 2 if rows else 0.0
        beta_tau: Matrix = np.asarray(np.linalg.lstsq(curvature, cross, rcond=None)[0], dtype=np.float64)
        gradient = expansion.gradient[p:] + cross.T @ beta
        return Profile(value, gradient, expansion.hessian[p:, p:] + cross.T @ beta_tau, beta, beta_tau)

    def step(self, sds: Vector, pattern: Pattern) -> tuple[Vector, Step]:
        """tau at the point ``sds`` of the grid, and the best step from there."""
        tau = np.zeros(pattern.size)
        tau[pattern.diagonal] = sds
        unit = sds[pattern.entries[0]]
        step = propose(unit * self.gradient, np.outer(unit, unit) * self.hessian, LONGEST_STEP)
        return tau, Step.of(unit * step.step, step.predicted, bounded=step.bounded)


def first_point(points: Grid, profiles: list[Profile], pattern: Pattern, groups: float) -> tuple[Vector, Vector]:
    """beta and tau at which the working model is about largest.

    With one random term by its moments (``from_moments``), otherwise the best that one step from any point reaches.
    """
    if pattern.q == 0:
        return profiles[0].beta, np.zeros(0)
    if len(points) == 2 and pattern.q == 1:
        none, some = profiles
        return from_moments(points[1][0], none, some, groups)
    reached = [(profile, *profile.step(np.array(sds), pattern)) for sds, profile in zip(points, profiles, strict=True)]
    profile, tau, step = max(reached, key=lambda each: each[0].value + each[2].predicted)
    return profile.beta + profile.beta_tau @ step.step, pattern.with_positive_diagonal(tau + step.step)


def from_moments(sigma: float, none: Profile, some: Profile, groups: float) -> tuple[Vector, Vector]:
    """beta and the standard deviation of one random term from the working model at 0 and at ``sigma``.

    For G groups of equal precision w, whose squared weighted residuals sum to S, the profile is f(sigma) = -G/2 log(1
    + sigma^2 w) + sigma^2 S / (2 (1 + sigma^2 w)), with f''(0) = S - G w. The curvature at 0 and the difference
    between the points give w, and the maximum is at sigma^2 = f''(0) / (G w^2).
    """
    curvature, gain = float(none.hessian[0, 0]), some.value - none.value

    def excess(log_w: float) -> float:
        inflation = 1.0 + sigma**2 * np.exp(log_w)
        S = curvature + groups * np.exp(log_w)
        return float(-0.5 * groups * np.log(inflation) + 0.5 * sigma**2 * S / inflation - gain)

    ends = LOG_PRECISIONS
    if curvature <= 0.0 or not excess(ends[0]) > 0.0 > excess(ends[1]):
        best, w = (0.0, 1.0) if gain < 0.0 else (sigma, 1.0)
    else:
        from scipy.optimize import brentq  # noqa: PLC0415  slow to load, and sites never need it

        w = float(np.exp(brentq(excess, *ends)))
        best = min(float(np.sqrt(curvature / groups)) / w, LARGEST_START)
    share = (best**2 / (1.0 + best**2 * w)) / (sigma**2 / (1.0 + sigma**2 * w))
    return none.beta + min(share, LONGEST_SHARE) * (some.beta - none.beta), np.array([best])
