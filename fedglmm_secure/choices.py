"""What the authors of a study choose between, where command lines name it too.

Imports nothing of the project, so that a command's help needs none of the libraries that do the work.
"""

from __future__ import annotations

from typing import Literal, get_args

VariableType = Literal["binary", "categorical", "numeric", "count", "group"]
"""What a variable may be."""

VARIABLE_TYPES: tuple[VariableType, ...] = get_args(VariableType)

PAILLIER_BITS = 3072
"""128 bits of security (NIST SP 800-57 part 1, table 2)."""

LEGACY_PAILLIER_BITS = 2048
"""112 bits of security: for those who must, and say so."""
