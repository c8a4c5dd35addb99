"""The terms come from the study alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from fedglmm_secure.errors import InputError
from fedglmm_secure.model.questions import Describe
from fedglmm_secure.securesum import PaillierTerms
from fedglmm_secure.securesum.messages import (
    BATCH,
    SEALED_BYTES,
    SHARE_BYTES,
    Advertisement,
    Agreement,
    Contribution,
    KeyShares,
    Opening,
    Unmasking,
)
from fedglmm_secure.study import Study
from fedglmm_secure.wire.codec import encode_site
from fedglmm_secure.wire.terms import largest_message, terms_of

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


@pytest.mark.parametrize("modulus", [None, "f" * 768])
def test_no_message_of_a_site_is_larger_than_the_largest(modulus: str | None):
    path = Path(__file__).parents[3] / "examples" / "indomethacin" / "study.toml"
    data = Study.parse(path.read_text(), str(path)).model_dump(exclude_none=True)
    names = [f"{i:x}" * 32 for i in range(16, 256)]
    data["sites"] = [{"name": name} for name in names]
    given = Study.from_dict(data, "test study")
    key = None if modulus is None else SimpleNamespace(modulus=modulus)
    terms = SimpleNamespace(layout=given.layout, model=given.model, sites=given.sites, paillier=key)
    head, numbers, members = (bytes(32), 2**40, names[0]), 1 + len(Describe().slots(given.layout)), len(names)
    messages = [
        Advertisement(*head, (bytes(32),) * BATCH, (bytes(32),) * BATCH, bytes(64)),
        KeyShares(*head, (bytes(BATCH * SEALED_BYTES),) * members),
        Contribution(*head, bytes(16 * numbers), bytes(32), (bytes(SEALED_BYTES),) * members),
        Agreement(*head, tuple(sorted(names)), bytes(64)),
        Unmasking(*head, (bytes(SHARE_BYTES),) * members),
    ]
    if modulus is not None:
        messages.append(Opening(*head, bytes(32), bytes(768 * numbers)))
    assert max(len(encode_site(message)) for message in messages) <= largest_message(terms) < 2**22
