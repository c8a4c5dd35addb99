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
        model=SimpleNamespace(max_rounds=50, penalty=0.0),
        validation=None,
        digest=bytes(32),
        roster=lambda: roster,
    )


def test_one_description_and_one_sum_a_round():
    terms = terms_of(study())
    assert (terms.max_sums, terms.minimum_sites, terms.names) == (51, 3, ("a", "b", "c"))


def test_dropouts_are_not_survived_yet():
    with pytest.raises(InputError, match="set dropouts = 0"):
        terms_of(study(dropouts=1))


def test_a_path_has_its_rounds_for_each_penalty_and_validation_two_more_sums_and_a_refit():
    path = study()
    path.model.penalty = (0.0, 1.0, 10.0)
    assert terms_of(path).max_sums == 1 + 3 * 50
    path.validation = SimpleNamespace(fraction=0.3, seed=1)
    assert terms_of(path).max_sums == 1 + 4 * 50 + 1
