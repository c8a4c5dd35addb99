"""What the study file can say and this version cannot do yet. A later version deletes its lines here.

Refused, never ignored: a study must not be approved for one model and fitted with another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedglmm_secure.errors import InputError

if TYPE_CHECKING:
    from fedglmm_secure.study.study import Study

_Row = tuple[str, Callable[["Study"], bool], str]

_NOT_YET: tuple[_Row, ...] = (
    (
        "model.formula",
        lambda s: len({term.group for term in s.formula.random}) > 1,
        "more than one grouping variable",
    ),
    (
        "model.penalty",
        lambda s: s.model.method == "pql" and s.model.penalty != 0.0,
        'a penalty with method = "pql"',
    ),
    (
        "variables",
        lambda s: any(v.shared for v in s.variables.values()),
        "a group shared by sites (shared = true)",
    ),
    ("security.dropouts", lambda s: s.security.dropouts > 0, "surviving dropouts (dropouts above 0)"),
    ("security.on_dropout", lambda s: s.security.on_dropout == "exclude", 'on_dropout = "exclude"'),
)
"""Key, whether the study asks for it, and what it is in words."""


def check_available(study: Study) -> None:
    """Raise InputError for the first thing in ``study`` that this version cannot do."""
    for key, asked, what in _NOT_YET:
        if asked(study):
            raise InputError(f"{key}: {what} is not available in this version; change the study")
