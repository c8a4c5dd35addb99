"""The log-likelihood of a site's rows with its derivatives, whatever the random terms and the number of nodes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, reduce
from operator import add

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Design
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.groups import BLOCK_ROWS, Block, blocks
from fedglmm_secure.model.laplace import laplace_derivatives
from fedglmm_secure.model.quadrature import Rule, marginal_derivatives
from fedglmm_secure.model.tensor import tensor_derivatives
from fedglmm_secure.model.tiles import Tile, tiles
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

NODE_ROWS = 16 * BLOCK_ROWS
"""Rows times nodes worked on at a time in a tensor product."""


def log_likelihood(
    design: Design, units: Units, family: Family, pattern: Pattern, theta: Vector, nodes: int
) -> Derivatives:
    """The sum over a design's groups; theta = (beta, tau) in ``units``, ``nodes`` = 1 for Laplace."""
    rule = Rule.of(nodes)
    if pattern.q == 1:
        return _sum_over_tiles(design, units, family, theta, rule)
    rows = BLOCK_ROWS if pattern.q < 2 else max(NODE_ROWS // nodes**pattern.q, 1)

    def of_block(block: Block) -> Derivatives:
        if pattern.q == 0:
            return independent_derivatives(block, family, theta)
        if nodes == 1:
            return laplace_derivatives(block, family, theta, pattern)
        return tensor_derivatives(block, family, theta, pattern, rule)

    nothing = Derivatives.zero(len(theta))
    return reduce(add, map(of_block, blocks(design, units, min(rows, BLOCK_ROWS))), nothing)


def _sum_over_tiles(design: Design, units: Units, family: Family, theta: Vector, rule: Rule) -> Derivatives:
    """Tiles are shared between the processor's cores, or the pieces of a tile which is one long group."""
    long: list[Tile] = []
    short: list[Tile] = []
    for tile in tiles(design, units):
        (long if tile.is_long else short).append(tile)
    if len(short) + 2 * len(long) < 2:
        return marginal_derivatives(short[0], family, theta, rule)
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = [marginal_derivatives(tile, family, theta, rule, pool.map) for tile in long]
        parts += pool.map(lambda tile: marginal_derivatives(tile, family, theta, rule), short)
    return reduce(add, parts)


@cache
def _blas() -> ThreadpoolController:
    """The loaded BLAS, whose own threads would fight ours for the cores."""
    return ThreadpoolController()


def independent_derivatives(block: Block, family: Family, beta: Vector) -> Derivatives:
    """Rows without random terms: a generalized linear model."""
    density, first, second = family.derivatives(block.offset + block.x @ beta, block.y, block.weights, 2)
    return Derivatives(float(np.sum(density)), block.x.T @ first, block.x.T @ (block.x * second[:, None]))
