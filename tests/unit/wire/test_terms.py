"""The terms come from the study alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum import PaillierTerms
from fedglmm_secure.wire.terms import terms_of

SECURITY = {"protocol": "masking", "dropouts": 0, "on_dropout": "wait", "minimum_sites": 3}


def study(**security: object) -> SimpleNamespace:
    roster = tuple((name, name.encode() * 32) for name in "abcd")
    return SimpleNamespace(
        security=SimpleNamespace(**(SECURITY | security)),
        paillier=None,
        model=SimpleNamespace(max_rounds=50, penalty=0.0),
        validation=None,
        digest=bytes(32),
        roster=lambda: roster,
    )


def test_one_description_and_one_sum_a_round():
    terms = terms_of(study())
    assert (terms.max_sums, terms.minimum_sites, terms.names) == (51, 3, ("a", "b", "c", "d"))


def test_dropouts_are_those_of_the_study():
    terms = terms_of(study(dropouts=1))
    assert (terms.scheme, terms.dropouts, terms.on_dropout, terms.threshold) == ("masking with dropouts", 1, "wait", 3)


def test_more_dropouts_than_still_open_a_sum():
    with pytest.raises(InputError, match="use at most 1"):
        terms_of(study(dropouts=2))


def test_each_site_that_may_be_left_out_gives_the_fit_its_sums_once_more():
    assert terms_of(study(dropouts=1, on_dropout="exclude")).max_sums == 2 * 51


def test_the_paillier_key_is_the_studys():
    keyed = study(protocol="paillier")
    keyed.paillier = SimpleNamespace(modulus="f1", threshold=3)
    assert terms_of(keyed).paillier == PaillierTerms(0xF1, 3)
    assert terms_of(keyed).threshold == 3


def test_a_path_has_its_rounds_for_each_penalty_and_validation_two_more_sums_and_a_refit():
    path = study()
    path.model.penalty = (0.0, 1.0, 10.0)
    assert terms_of(path).max_sums == 1 + 3 * 50
    path.validation = SimpleNamespace(fraction=0.3, seed=1)
    assert terms_of(path).max_sums == 1 + 4 * 50 + 1
