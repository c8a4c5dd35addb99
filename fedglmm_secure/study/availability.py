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
    ("model.family", lambda s: s.model.family != "binomial", 'a family other than "binomial"'),
    ("model.method", lambda s: s.model.method in ("glm", "pql"), 'a method other than "laplace" or "agh"'),
    ("model.offset", lambda s: s.model.offset is not None, "an offset"),
    ("model.weights", lambda s: s.model.weights is not None, "a column of weights"),
    ("model.trials", lambda s: s.model.trials is not None, "a column of trials"),
    ("model.penalty", lambda s: s.model.penalty != 0.0, "a penalty other than 0"),
    (
        "model.formula",
        lambda s: len(s.formula.random) == 0,
        "a model without a random term such as (1 | site)",
    ),
    ("model.formula", lambda s: len(s.formula.random) > 1, "more than one random term"),
    (
        "model.formula",
        lambda s: any(t.slopes or not t.intercept for t in s.formula.random),
        "a random coefficient",
    ),
    (
        "variables",
        lambda s: any(v.shared for v in s.variables.values()),
        "a group shared by sites (shared = true)",
    ),
    ("security.protocol", lambda s: s.security.protocol == "paillier", 'protocol = "paillier"'),
    ("security.dropouts", lambda s: s.security.dropouts > 0, "surviving dropouts (dropouts above 0)"),
    ("security.on_dropout", lambda s: s.security.on_dropout == "exclude", 'on_dropout = "exclude"'),
)
"""Key, whether the study asks for it, and what it is in words."""


def check_available(study: Study) -> None:
    """Raise InputError for the first thing in ``study`` that this version cannot do."""
    for key, asked, what in _NOT_YET:
        if asked(study):
            raise InputError(f"{key}: {what} is not available in this version; change the study")
