"""The log-likelihood of a site's rows with its derivatives, whatever the random terms and the number of nodes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial, reduce
from operator import add

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.derivatives import Derivatives
from fedglmm_secure.model.design import Design
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.fast import pays
from fedglmm_secure.model.groups import BLOCK_ROWS, Block, blocks
from fedglmm_secure.model.laplace import laplace_derivatives
from fedglmm_secure.model.quadrature import Rule, marginal_derivatives
from fedglmm_secure.model.tensor import tensor_derivatives
from fedglmm_secure.model.tiles import Tile, tiles
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector

FEW = 4
"""Tiles that are not worth a pool: handing over the interpreter's lock costs more than a second core brings."""
NODE_ROWS = 16 * BLOCK_ROWS
"""Rows times nodes worked on at a time in a tensor product."""


def log_likelihood(
    design: Design, units: Units, family: Family, pattern: Pattern, theta: Vector, nodes: int
) -> Derivatives:
    """The sum over a design's groups; theta = (beta, tau) in ``units``, ``nodes`` = 1 for Laplace."""
    rule, nothing = Rule.of(nodes), Derivatives.zero(len(theta))
    rows = BLOCK_ROWS if pattern.q < 2 else max(NODE_ROWS // nodes**pattern.q, 1)

    def of_block(block: Block) -> Derivatives:
        if pattern.q == 0:
            return independent_derivatives(block, family, theta)
        if nodes == 1:
            return laplace_derivatives(block, family, theta, pattern)
        return tensor_derivatives(block, family, theta, pattern, rule)

    with _blas().limit(limits=1, user_api="blas"):
        if pattern.q == 1:
            parts = list(tiles(design, units, compiled=pays(family, design.rows, nodes)))
            return reduce(add, _of_tiles(parts, family, theta, rule), nothing)
        return reduce(add, map(of_block, blocks(design, units, min(rows, BLOCK_ROWS))), nothing)


def _of_tiles(parts: list[Tile], family: Family, theta: Vector, rule: Rule) -> list[Derivatives]:
    """One random term: the cores share the tiles, or the pieces of a tile that is one long group; order is kept."""
    long, short = [tile for tile in parts if tile.is_long], [tile for tile in parts if not tile.is_long]
    if len(short) < FEW and not long:
        return [marginal_derivatives(tile, family, theta, rule) for tile in short]
    # threads of a pool have NumPy's error handling anew
    with ThreadPoolExecutor(os.cpu_count(), initializer=partial(np.seterr, **np.geterr())) as pool:
        return [
            *(marginal_derivatives(tile, family, theta, rule, pool.map) for tile in long),
            *pool.map(lambda tile: marginal_derivatives(tile, family, theta, rule), short),
        ]


@cache
def _blas() -> ThreadpoolController:
    """The loaded BLAS libraries, whose own threads would fight ours for the cores."""
    return ThreadpoolController()


def independent_derivatives(block: Block, family: Family, beta: Vector) -> Derivatives:
    """Rows without random terms: a generalized linear model."""
    density, first, second = family.derivatives(block.offset + block.x @ beta, block.y, block.weights, 2)
    return Derivatives(float(np.sum(density)), block.x.T @ first, block.x.T @ (block.x * second[:, None]))
