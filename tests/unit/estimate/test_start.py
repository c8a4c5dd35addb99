"""Where Newton's method starts: near the maximum however the rows are spread over sites, and finite on any data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.newton import Maximum, Trace, describe, maximise
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.estimate.start import Start, in_other_units
from fedglmm_secure.model.answers import answer
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.description import grid
from fedglmm_secure.model.design import Design, Layout
from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.model.likelihood import log_likelihood
from fedglmm_secure.model.questions import Describe, MarginalDerivatives
from fedglmm_secure.model.units import Units
from fedglmm_secure.model.working import working_model

FAMILY_NAMES = ("binomial", "poisson", "gaussian")


@dataclass(frozen=True)
class Asked:
    nodes: int = 1
    tolerance: float = 1e-10
    max_rounds: int = 50


@dataclass(frozen=True)
class Rows:
    """Fixed effects with a constant first column, a response, each row's group; the first q columns vary by group."""

    x: np.ndarray
    y: np.ndarray
    group: np.ndarray
    family: str
    q: int = 1

    def sites(self, count: int) -> tuple[Layout, list[Design]]:
        """Groups dealt to sites."""
        x, y, z = self.x, self.y.astype(float), self.x[:, : self.q]
        if self.family == "gaussian":
            x, y = np.column_stack([x, -y]), np.zeros(len(y))
        low, high = x.min(axis=0), x.max(axis=0)
        centre, half = (low + high) / 2, np.where(high > low, (high - low) / 2, 1.0)
        centre[0], half[0] = 0.0, 1.0
        layout = Layout(
            tuple(f"x{i}" for i in range(x.shape[1])), tuple(centre), tuple(half), 0, "g" if self.q else "",
            tuple(f"x{i}" for i in range(self.q)), (self.q,) if self.q else (), (0.0,) * self.q,
            tuple(np.abs(z).max(axis=0)), (), self.family,
        )  # fmt: skip
        designs = []
        for site in range(count):
            rows = np.flatnonzero(self.group % count == site)
            rows = rows[np.argsort(self.group[rows], kind="stable")]
            starts = np.flatnonzero(np.diff(self.group[rows], prepend=-1))
            names, n = tuple(map(str, starts)), len(rows)
            designs.append(
                Design(x[rows], z[rows], y[rows], np.zeros(n), np.ones(n), 0.0, starts, names, np.zeros(0), 0)
            )
        return layout, designs


def simulated(
    family: str, seed: int = 1, groups: int = 30, per_group: int = 25, sigma: float = 0.7, q: int = 1
) -> Rows:
    rng = np.random.default_rng(seed)
    n, group = groups * per_group, np.repeat(np.arange(groups), per_group)
    x = np.column_stack([np.ones(n), rng.normal(size=n), rng.random(n) < 0.3])
    effects = sigma * rng.normal(size=(groups, q))
    eta = x @ [0.2, 0.4, -0.6] + np.sum(x[:, :q] * effects[group], axis=1)
    y = {
        "binomial": lambda: rng.random(n) < 1 / (1 + np.exp(-eta)),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "gaussian": lambda: eta + rng.normal(size=n),
    }[family]()
    return Rows(x, y, group, family, q)


def pooled_start(layout: Layout, designs: list[Design]) -> Start:
    return Start.read(np.sum([answer(Describe(), layout, design) for design in designs], axis=0), layout)


def distance(start: Start, layout: Layout, designs: list[Design]) -> float:
    """From the start to the maximum as Newton's step sees it, in standard errors."""
    question = MarginalDerivatives(
        tuple(start.theta.tolist()), 1, start.units.columns, tuple(start.description.vector().tolist())
    )
    total = np.sum([answer(question, layout, design) for design in designs], axis=0)
    here = Derivatives.unpack(total, len(start.theta))
    return float(np.sqrt(here.gradient @ np.linalg.solve(-here.hessian, here.gradient)))


def fitted(layout: Layout, designs: list[Design]) -> tuple[Maximum, int]:
    """The maximum, and how many sums it took."""
    trace = Trace(lambda _: None)

    def questions():
        start = yield from describe(layout, trace)
        return (yield from maximise(Objective(layout, start.units), start, start.theta, Asked(), trace))

    generator = questions()
    question = next(generator)
    try:
        while True:
            question = generator.send(np.sum([answer(question, layout, design) for design in designs], axis=0))
    except StopIteration as end:
        return end.value, len(trace.rows)


@pytest.mark.parametrize("q", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_an_expansion_is_the_sites_likelihood_where_it_was_made(family: str, q: int) -> None:
    layout, (design,) = simulated(family, q=q).sites(1)
    pattern, p = Pattern(layout.blocks), len(layout.columns)
    units = Units.of_ranges(layout, tuple(range(p)))
    for sds, expansion in zip(grid(layout), working_model(layout, design), strict=True):
        tau = np.zeros(pattern.size)
        tau[pattern.diagonal] = sds
        # the maximum of the expansion with the site's prior is, to the accuracy of its search, where it was made
        if family == "gaussian":
            direction = np.linalg.solve(np.eye(p) - expansion.hessian[:p, :p], np.eye(p)[-1])
            beta = np.sqrt(design.rows / direction[-1]) * direction
        else:
            beta = np.linalg.solve(np.eye(p) - expansion.hessian[:p, :p], expansion.gradient[:p])
        there = log_likelihood(design, units, FAMILIES[family], pattern, np.append(beta, tau), 1)
        move = np.append(beta, np.zeros(pattern.size))
        value = expansion.value + expansion.gradient @ move + 0.5 * move @ expansion.hessian @ move
        assert value == pytest.approx(there.value, rel=1e-6)
        np.testing.assert_allclose(
            (expansion.gradient + expansion.hessian @ move)[:p], there.gradient[:p], atol=2e-3 * abs(there.value)
        )


@pytest.mark.parametrize("q", [0, 1, 2, 3])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_each_number_of_the_description_has_a_name_of_its_own(family: str, q: int) -> None:
    layout, (design,) = simulated(family, q=q).sites(1)
    names = Describe().slots(layout)
    assert len(answer(Describe(), layout, design)) == len(names) == len(set(names))


@pytest.mark.parametrize("sites", [1, 5, 30])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_it_starts_within_a_few_standard_errors(family: str, sites: int) -> None:
    layout, designs = simulated(family).sites(sites)
    assert distance(pooled_start(layout, designs), layout, designs) < 10.0


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0, 3.0])
def test_a_linear_mixed_model_ends_within_twelve_sums_from_one_point(sigma: float) -> None:
    layout, designs = simulated("gaussian", sigma=sigma, groups=60).sites(1)
    assert fitted(layout, designs)[1] <= 12


def test_without_variation_between_groups_it_starts_at_exactly_zero() -> None:
    rows = simulated("binomial", groups=20, per_group=30)
    group = np.empty(600, dtype=int)
    group[np.lexsort([rows.x[:, 1], rows.y])] = np.arange(600) % 20  # every group the same mix of outcomes
    layout, designs = Rows(rows.x, rows.y, group, "binomial").sites(4)
    assert pooled_start(layout, designs).theta[-1] == 0.0
    maximum, sums = fitted(layout, designs)
    assert maximum.theta[-1] == 0.0
    assert sums <= 6


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_model_without_random_terms_starts_and_ends(family: str) -> None:
    layout, designs = simulated(family, q=0).sites(3)
    start = pooled_start(layout, designs)
    assert len(start.theta) == len(layout.columns)
    assert fitted(layout, designs)[1] <= 6


def hard_cases() -> dict[str, tuple[Rows, int]]:
    """Data, and the number of sites."""
    rng = np.random.default_rng(3)
    plain, counts = simulated("binomial"), simulated("poisson")
    thousands = rng.poisson(np.exp(counts.x @ [8.0, 0.1, -0.2] + 0.3 * rng.normal(size=30)[counts.group]))
    far = plain.x * [1.0, 1e6, 1.0] + [0.0, 1e8, 0.0]
    return {
        "one group": (Rows(plain.x, plain.y, np.zeros(750, dtype=int), "binomial"), 1),
        "groups of one row": (Rows(counts.x, counts.y, np.arange(750), "poisson"), 3),
        "a column of large numbers far from zero": (Rows(far, plain.y, plain.group, "binomial"), 3),
        "a column of tiny numbers": (Rows(plain.x * [1.0, 1e-9, 1.0], plain.y, plain.group, "binomial"), 3),
        "counts in thousands": (Rows(counts.x, thousands, counts.group, "poisson"), 3),
        "counts in thousands, a site each group": (Rows(counts.x, thousands, counts.group, "poisson"), 30),
        "three rows a site": (simulated("poisson", groups=120, per_group=3), 120),
        "hardly any events": (Rows(plain.x, plain.y & (rng.random(750) < 0.05), plain.group, "binomial"), 10),
        "two slopes of counts": (simulated("poisson", groups=40, per_group=12, q=2), 4),
        "two slopes of measurements": (simulated("gaussian", groups=40, per_group=12, q=2), 4),
    }


@pytest.mark.parametrize("name", hard_cases())
def test_hard_data_start_well_enough_to_end_within_twelve_sums(name: str) -> None:
    rows, sites = hard_cases()[name]
    maximum, sums = fitted(*rows.sites(sites))
    assert sums <= 12
    assert np.linalg.norm(maximum.penalised.gradient) < 1e-6 * (1.0 + abs(maximum.log_likelihood.value))


def test_an_outcome_that_never_occurs_ends_in_an_error_soon() -> None:
    plain = simulated("binomial")
    layout, designs = Rows(plain.x, np.zeros(750), plain.group, "binomial").sites(3)
    assert np.isfinite(pooled_start(layout, designs).theta).all()
    with pytest.raises(FitError):
        fitted(layout, designs)


@pytest.mark.parametrize(("family", "q", "points"), [("gaussian", 1, 1), ("binomial", 1, 2), ("poisson", 2, 2)])
def test_the_working_model_is_summed_at_too_few_points_to_tell_groups_apart(family: str, q: int, points: int) -> None:
    """Differences of three curvatures would let each group's averages be computed (docs/threat-model.md)."""
    layout, _ = simulated(family, q=q).sites(1)
    assert len(grid(layout)) == points


@pytest.mark.parametrize(
    ("blocks", "intercept_of"), [((3,), (None, 0, 0)), ((2, 1), (None, 0, None)), ((1, 2), (None, 2, None))]
)
def test_other_units_are_the_same_model(blocks: tuple[int, ...], intercept_of: tuple[int | None, ...]) -> None:
    """Laplace's likelihood depends neither on the units nor on where terms beside an intercept are centred."""
    rng = np.random.default_rng(5)
    n, terms = 120, ("Intercept", "x", "h") if blocks[0] > 1 else ("h", "x", "Intercept")
    columns = {"Intercept": np.ones(n), "x": 2000.0 + rng.normal(size=n), "h": rng.normal(size=n)}
    layout = Layout(
        ("Intercept", "x"), (0.0, 2005.0), (1.0, 9.0), 0, "g", terms, blocks, (0.0,) * 3, (1.0, 2010.0, 3.0), (),
        "poisson",
    )  # fmt: skip
    x, z = (np.column_stack([columns[name] for name in names]) for names in (layout.columns, terms))
    starts = np.arange(0, n, 6)
    design = Design(
        x, z, rng.poisson(2.0, n).astype(float), np.zeros(n), np.ones(n), 0.0, starts, tuple(map(str, starts)),
        np.zeros(0), 0,
    )  # fmt: skip
    pattern = Pattern(blocks)
    assert layout.intercept_of == intercept_of
    centre = np.array([{"x": 1999.0, "h": 0.4}.get(name, 0.0) for name in terms])
    centre[[place is None for place in intercept_of]] = 0.0
    given = Units.of_ranges(layout, (0, 1))
    wanted = Units((0, 1), np.array([0.0, 2000.5]), np.array([1.0, 2.0]), centre, np.array([1.0, 2.0, 0.5]), 0)
    theta = np.append([0.3, -0.2], 0.3 * rng.normal(size=pattern.size))
    other = in_other_units(theta, given, wanted, layout)
    values = [
        log_likelihood(design, units, FAMILIES["poisson"], pattern, at, 1).value
        for units, at in ((given, theta), (wanted, other))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-10)
    assert (other[2:][pattern.diagonal] >= 0.0).all()
