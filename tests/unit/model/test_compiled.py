"""Compiled loops against NumPy: the same numbers, whatever the groups, nodes, units and linear predictors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_secure.model import fast
from fedglmm_secure.model import tiles as tiling
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Design
from fedglmm_secure.model.family import FAMILIES, Binomial, Poisson
from fedglmm_secure.model.likelihood import log_likelihood
from fedglmm_secure.model.units import Units

FEW_ROWS = (("PIECE_ROWS", 64), ("LONG", 40), ("TILE_ROWS", 128), ("LONGEST", 2))
"""Bounds of tiles so low that a few hundred rows meet every kind of tile, part and cut."""


def design_of(sizes: list[int], seed: int = 1, p: int = 5) -> Design:
    """0/1 outcomes of groups of these sizes, with an offset."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    x = rng.normal(size=(n, p))
    x[:, 0] = 1.0
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    return Design(
        x, np.ones((n, 1)), (rng.random(n) < 0.4).astype(float), 0.3 * rng.normal(size=n), np.ones(n), 0.0, starts,
        tuple(map(str, starts)), np.zeros(0), 0,
    )  # fmt: skip


def units_of(columns: list[int]) -> Units:
    """Some columns, in units of their own."""
    p = len(columns)
    return Units(tuple(columns), np.linspace(0.0, 0.5, p), np.linspace(1.0, 2.0, p), np.zeros(1), np.ones(1), 0)


class Paths:
    """The log-likelihood by each path."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.compiled = monkeypatch, 0

    def both(
        self, design: Design, theta: np.ndarray, nodes: int, family: str = "binomial", units: Units | None = None
    ) -> tuple[Derivatives, Derivatives]:
        """By NumPy, then compiled."""
        every = units or units_of(list(range(design.x.shape[1])))
        results = []
        for enough in (np.inf, 0):
            self.monkeypatch.setattr(fast, "ENOUGH", enough)
            results.append(log_likelihood(design, every, FAMILIES[family], Pattern((1,)), theta, nodes))
        return results[0], results[1]


@pytest.fixture
def paths() -> Iterator[Paths]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        made, kernels = Paths(monkeypatch), fast.kernels()
        original = kernels.node_sums

        def counted(*arrays: Any) -> None:
            made.compiled += 1
            original(*arrays)

        monkeypatch.setattr(kernels, "node_sums", counted)
        yield made


def assert_same(numpy: Derivatives, compiled: Derivatives) -> None:
    for a, b in ((numpy.value, compiled.value), (numpy.gradient, compiled.gradient), (numpy.hessian, compiled.hessian)):
        assert np.abs(np.asarray(a) - b).max() <= 1e-12 * max(np.abs(a).max(), 1.0)


@pytest.mark.parametrize("bounds", [(), FEW_ROWS])
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.sampled_from([1, 2, 3, 10, 47, 48, 49, 100, 700]), min_size=1, max_size=12),
    nodes=st.sampled_from([1, 2, 5, 9]),
    sigma=st.sampled_from([0.0, 1e-3, 0.7, 4.0]),
    p=st.integers(1, 9),
)
def test_both_paths_agree(bounds: Any, seed: int, sizes: list[int], nodes: int, sigma: float, p: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in bounds:
            monkeypatch.setattr(tiling, name, value)
        theta = np.append(np.random.default_rng(seed).normal(scale=0.5, size=p), sigma)
        assert_same(*Paths(monkeypatch).both(design_of(sizes, seed, p), theta, nodes))


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("slope", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_not_compiled_takes_the_other_path(paths: Paths, family: str, slope: bool, weighted: bool) -> None:
    design, rng = design_of([5, 60, 200]), np.random.default_rng(5)
    if slope:
        design = replace(design, z=rng.normal(size=design.z.shape))
    if weighted:
        design = replace(design, weights=rng.choice([0.5, 2.0], size=design.rows))
    assert_same(*paths.both(design, np.array([0.2, -0.3, 0.1, 0.3, 0.4, 0.6]), 5, family))
    assert (paths.compiled > 0) == (family == "binomial" and not slope and not weighted)


@pytest.mark.parametrize("intercept", [-2000.0, -720.0, -250.0, -150.0, -40.0, 40.0, 150.0, 250.0, 720.0, 2000.0])
def test_far_linear_predictors(paths: Paths, intercept: float) -> None:
    design = design_of([3, 10, 500])
    assert_same(*paths.both(design, np.array([intercept, 1.0, -2.0, 0.5, 0.3, 0.5]), 9))
    if abs(intercept) <= 150.0 or abs(intercept) >= 720.0:  # in between, it is the modes' distance that decides
        assert (paths.compiled > 0) == (abs(intercept) <= 150.0)


def test_one_group_too_far_among_others(paths: Paths) -> None:
    """What may be factored is decided for a part of a tile as a whole, not group by group."""
    paths.monkeypatch.setattr(tiling, "PIECE_ROWS", 64)
    design = design_of([60] * 4)
    design = replace(design, y=np.repeat([0.0, 0.0, 0.0, 1.0], 60), offset=np.full(240, -250.0))
    assert_same(*paths.both(design, np.array([0.2, 0.3, -0.2, 0.5, 0.3, 2.0]), 5))


def test_rows_far_apart_in_one_group(paths: Paths) -> None:
    """Products of 1 + e^eta near the largest double, beside factors of 1."""
    design = design_of([200, 200])
    design = replace(
        design, offset=np.where(np.arange(400) % 3 == 0, 120.0, np.where(np.arange(400) % 3 == 1, -120.0, 0.0))
    )
    assert_same(*paths.both(design, np.array([0.2, 0.3, -0.2, 0.5, 0.3, 2.0]), 9))
    assert paths.compiled > 0


def test_dropped_columns_and_a_table_kept_by_columns(paths: Paths) -> None:
    design, theta = design_of([5, 6, 300], p=6), np.array([0.1, 0.2, 0.3, 0.8])
    kept = units_of([0, 4, 2])
    numpy, compiled = paths.both(design, theta, 3, units=kept)
    assert_same(numpy, compiled)
    by_columns = replace(design, x=np.asfortranarray(design.x))
    assert_same(numpy, paths.both(by_columns, theta, 3, units=kept)[1])
    assert paths.compiled > 0


def test_the_number_of_cores_changes_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FEW_ROWS:
        monkeypatch.setattr(tiling, name, value)
    design, theta = design_of([3, 3, 3, 50, 50, 90, 90, 400]), np.array([0.2, -0.3, 0.1, 0.3, 0.4, 0.6])
    results = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        results.append(Paths(monkeypatch).both(design, theta, 5)[1].pack().tolist())
    assert results[0] == results[1] == results[2]


def test_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fast.pays(Binomial(), fast.ENOUGH, 1)
    assert fast.pays(Binomial(), fast.ENOUGH // 8, 8)
    assert not fast.pays(Binomial(), fast.ENOUGH - 1, 1)
    assert not fast.pays(Poisson(), fast.ENOUGH, 1)
    monkeypatch.setattr(fast, "_installed", lambda: False)
    assert not fast.pays(Binomial(), fast.ENOUGH, 1)
