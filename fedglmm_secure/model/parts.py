"""The rows of a tile, in the parts that cores may share, each worked on in the fastest way there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, TypeVar

import numpy as np

from fedglmm_secure.model.compiled import CompiledRows
from fedglmm_secure.model.family import Family
from fedglmm_secure.model.rows import Rows, Tensor
from fedglmm_secure.model.tiles import Tile
from fedglmm_secure.ring import Vector

T = TypeVar("T")
U = TypeVar("U")


class Map(Protocol):
    """The built-in map, or that of a pool of threads: results come in the order of the items."""

    def __call__(self, function: Callable[[T], U], items: Iterable[T], /) -> Iterator[U]:
        """Call function on each item."""
        ...


@dataclass(frozen=True, repr=False)  # it holds patients
class TileRows:
    """The rows of a tile, in the parts that ``each`` shares out."""

    parts: list[Rows]
    each: Map

    @staticmethod
    def of(tile: Tile, family: Family, beta: Vector, sigma: float, each: Map) -> TileRows:
        """At the linear predictor offset + x' beta + sigma z v."""
        kind = CompiledRows if tile.compiled else Rows

        def rows(part: Tile) -> Rows:
            result = kind(part, family, sigma)
            result.fixed = result.predict(beta)
            result.forget()
            return result

        return TileRows(list(each(rows, tile.parts())), each)

    def sums(self, work: Callable[[Rows], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What ``work`` returns, summed over the parts in their order."""

        def pass_over(part: Rows) -> tuple[Tensor, ...]:
            result = work(part)
            part.forget()
            return result

        return tuple(reduce(np.add, values) for values in zip(*self.each(pass_over, self.parts), strict=True))

    @property
    def sigma(self) -> float:
        """The standard deviation of the random term."""
        return self.parts[0].sigma
