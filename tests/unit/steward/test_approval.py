"""An approval: this site's signature over this very study, and what changed if it is another."""

from __future__ import annotations

import base64
import string
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tomli_w

from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.study.changes import changes
from fedglmm_secure.wire.approval import Approval, approval_path, approve, check_approval, parse_approval

ME = "1_UM"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def approval(study, identities):
    return approve(study, ME, identities[ME].signing, NOON)


@pytest.fixture
def check(study, identities):
    def run(approval: Approval, other=None):
        check_approval(approval, other or study, ME, identities[ME].signing.public_bytes, "file")

    return run


def test_an_approval_survives_its_file(approval, check):
    again = parse_approval(approval.to_toml(), "file")
    assert again == approval
    assert again.date == "2026-03-01T12:00:00+00:00"
    check(again)


def test_it_is_kept_beside_the_study_for_each_site():
    assert approval_path(Path("a/study.toml"), "north") == Path("a/study.north.approval.toml")


@pytest.mark.parametrize("field", ["site", "date", "digest", "signature", "public_key"])
def test_an_edited_field_is_found(approval, check, field):
    value = getattr(approval, field)
    last = "0" if value[-3] != "0" else "1"
    with pytest.raises(RefusalError, match=r"its signature is not by|by another site or another key"):
        check(replace(approval, **{field: value[:-3] + last + value[-2:]}))


def test_an_edit_of_bits_that_base64_does_not_use_is_found(approval, check):
    *begin, last, _, _ = approval.signature
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    other = alphabet[alphabet.index(last) ^ 1]
    edited = "".join(begin) + other + "=="
    assert base64.b64decode(edited) == base64.b64decode(approval.signature)
    with pytest.raises(RefusalError, match="its signature is not by 1_UM's key, or it was edited"):
        check(replace(approval, signature=edited))


def test_another_sites_approval(study, identities, check):
    other = approve(study, "2_IU", identities["2_IU"].signing, NOON)
    with pytest.raises(RefusalError, match="by another site or another key than 1_UM's own"):
        check(other)


def test_an_approval_in_this_sites_name_by_another_key(study, identities, check):
    forged = approve(study, ME, identities["2_IU"].signing, NOON)
    with pytest.raises(RefusalError, match="by another site or another key"):
        check(forged)
    with pytest.raises(RefusalError, match="its signature is not by 1_UM's key"):
        check(replace(forged, public_key=identities[ME].public_key))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model__nodes": 5}, "model.nodes was 9 and is 5"),
        ({"disclosure__minimum_cell": 2}, "disclosure.minimum_cell was 3 and is 2"),
        ({"model__weights": "risk"}, "model.weights was not there and is risk"),
        ({"security__protocol": "plain"}, "security.protocol was masking and is plain"),
        ({"study__id": "other"}, "and is other"),
    ],
)
def test_a_changed_study_is_refused_and_the_change_is_named(approval, study, changed, check, change, words):
    with pytest.raises(RefusalError) as error:
        check(approval, changed(study, **change))
    assert f"the study has changed since it was approved on {approval.date} (" in str(error.value)
    assert words in str(error.value)
    assert "approve it with `fedglmm-site approve`" in str(error.value)


def test_a_changed_roster_is_named(approval, study, check, identities):
    swapped = study.replaced(identities={"2_IU": (identities["coordinator"].public_key, study.sites[1].certificate)})
    with pytest.raises(RefusalError, match=r"sites\.2_IU\.public_key was"):
        check(approval, swapped)
    larger = study.replaced(identities={"5_New": (identities["coordinator"].public_key, None)})
    with pytest.raises(RefusalError, match=r"sites\.5_New\.public_key was not there"):
        check(approval, larger)


def test_many_changes_are_counted(approval, study, changed, check):
    other = changed(study, model__nodes=5, model__max_rounds=9, disclosure__minimum_cell=2, security__minimum_sites=2)
    with pytest.raises(RefusalError, match=r"; and 1 more\)"):
        check(approval, other)


def test_a_copy_that_is_not_the_approved_one_is_not_believed(approval, study, changed, check):
    other = changed(study, model__nodes=5)
    lying = replace(approval, study=changed(study, model__nodes=7).to_toml())
    for copy in (lying, replace(approval, study="nonsense"), replace(approval, study=other.to_toml())):
        with pytest.raises(
            RefusalError, match=rf"\(its digest was {study.hexdigest[:16]} and is {other.hexdigest[:16]}\)"
        ):
            check(copy, other)


def test_changes_are_those_of_the_digest(study, changed):
    spaced = changed(study, model__formula=study.model.formula.replace(" + ", "+"))
    assert spaced.digest == study.digest
    assert changes(study, spaced) == ()
    for change in ({"model__tolerance": 1e-9}, {"study__title": "x"}, {"disclosure__few_groups": "allow"}):
        assert len(changes(study, changed(study, **change))) == 1


@pytest.mark.parametrize("text", ["", "=", "a = 1", "format = 'fedglmm-approval/2'", "[site]"])
def test_what_is_no_approval(text):
    with pytest.raises(InputError, match="file: is not a study's approval"):
        parse_approval(text, "file")


@pytest.mark.parametrize("field", ["site", "date", "digest", "public_key", "signature", "study"])
def test_an_approval_whose_fields_are_no_text_is_refused(approval, field):
    with pytest.raises(InputError, match="is not a study's approval"):
        parse_approval(tomli_w.dumps(asdict(approval) | {field: 7}), "file")


def test_an_approval_of_another_format_is_refused(approval):
    with pytest.raises(InputError, match="is not a study's approval"):
        parse_approval(replace(approval, format="fedglmm-approval/2").to_toml(), "file")
