"""How this implementation says no."""

from __future__ import annotations


class Refused(Exception):
    """What must not be accepted. ``error`` is the class that ``docs/protocol.md``, "Errors", gives it."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(f"{error}: {why}")
        self.error = error


def require(holds: bool, error: str, why: str) -> None:
    """Raise Refused unless it holds."""
    if not holds:
        raise Refused(error, why)
