"""The terms come from the study alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fedglmm_secure.errors import InputError
from fedglmm_secure.wire.terms import terms_of


def study(**security: object) -> SimpleNamespace:
    roster = tuple((name, name.encode() * 32) for name in "abc")
    return SimpleNamespace(
        security=SimpleNamespace(**({"protocol": "masking", "dropouts": 0, "minimum_sites": 3} | security)),
        model=SimpleNamespace(max_rounds=50),
        digest=bytes(32),
        roster=lambda: roster,
    )


def test_one_description_and_one_sum_a_round():
    terms = terms_of(study())
    assert (terms.max_sums, terms.minimum_sites, terms.names) == (51, 3, ("a", "b", "c"))


def test_dropouts_are_not_survived_yet():
    with pytest.raises(InputError, match="set dropouts = 0"):
        terms_of(study(dropouts=1))
