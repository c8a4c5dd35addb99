"""Conditional modes alone: where they are, and that the way there is short."""

from __future__ import annotations

import numpy as np
import pytest

from fedglmm_secure.errors import FitError
from fedglmm_secure.model import modes
from fedglmm_secure.model.design import Design
from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.model.groups import Block, blocks
from fedglmm_secure.model.units import Units


def block_of(sd: float, seed: int = 0) -> tuple[Block, np.ndarray, np.ndarray]:
    """Counts of 40 groups of 30 rows: an intercept, and a slope of what lies fifty standard deviations from 0."""
    rng = np.random.default_rng(seed)
    groups, rows = 40, 30
    group, far = np.repeat(np.arange(groups), rows), rng.normal(size=groups * rows)
    z = np.column_stack([np.ones(group.size), 1.0 + far / 50.0])
    level, slope = 1.5 * rng.normal(size=(2, groups))
    y = rng.poisson(np.exp(np.clip(1.0 + level[group] + slope[group] * far, -20.0, 10.0))).astype(float)
    x = np.ones((group.size, 1))
    starts, names = np.arange(0, group.size, rows), tuple(map(str, range(groups)))
    design = Design(x, z, y, np.zeros(group.size), np.ones(group.size), 0.0, starts, names, np.zeros(0), 0)
    units = Units((0,), np.zeros(1), np.ones(1), np.zeros(2), np.ones(2), 0)
    (block,) = blocks(design, units)
    return block, np.full(block.y.shape, 1.0), block.z * sd


@pytest.mark.parametrize("sd", [0.5, 10.0, 60.0, 200.0])
def test_modes_of_wide_effects_are_found_within_few_steps(sd: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the length of the slope alone, some groups at 60 took over 200."""
    monkeypatch.setattr(modes, "MAX_STEPS", 60)
    block, fixed, s = block_of(sd)
    v = modes.conditional_modes(block, FAMILIES["poisson"], fixed, s)
    eta = fixed + np.sum(s * block.spread(v.T).T, axis=1)
    slope = block.sums(s.T * (block.y - np.exp(eta))).T - v
    scale = block.sums(np.abs(s.T) * block.y).T + 1.0
    assert np.abs(slope / scale).max() < 1e-9


def test_a_linear_predictor_out_of_range_has_none() -> None:
    block, fixed, s = block_of(1.0)
    with pytest.raises(FitError, match="out of range"):
        modes.conditional_modes(block, FAMILIES["poisson"], fixed + 1e6, s)
