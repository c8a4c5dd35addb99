"""What a package hands on but imports on first use, so that a program starts without what it does not need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def handing_on(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A ``__getattr__`` for ``package``, whose ``homes`` say in which module each name is."""

    def get(name: str) -> object:
        if name in homes:
            return getattr(import_module(homes[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
