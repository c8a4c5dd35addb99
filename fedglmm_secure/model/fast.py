"""Whether there are compiled loops to use (``pip install fedglmm-secure[fast]`` brings Numba), and where they pay."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from fedglmm_secure.model.family import Binomial, Family

ENOUGH = 2**22
"""Rows times nodes from which importing Numba, once in a process, is worth the fraction of a second it takes."""


def pays(family: Family, rows: int, nodes: int) -> bool:
    """Whether compiled loops are installed, made for the family, and worth while for so many rows and nodes."""
    return isinstance(family, Binomial) and rows * nodes >= ENOUGH and _installed()


@cache
def kernels() -> ModuleType:
    """``kernels.py``, imported on first use."""
    return import_module("fedglmm_secure.model.kernels")


@cache
def _installed() -> bool:
    return find_spec("numba") is not None
