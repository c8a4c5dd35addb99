"""A site's own policy: stricter than the study, never looser; each refusal with its sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.policy import Policy, read_policy


@pytest.fixture
def policy(tmp_path):
    def read(text: str) -> Policy:
        (tmp_path / "policy.toml").write_text(text, encoding="utf-8")
        return read_policy(tmp_path / "policy.toml")

    return read


def test_the_guide_names_every_key():
    guide = (Path(__file__).parents[3] / "site" / "README.md").read_text(encoding="utf-8")
    table = guide.partition("## The policy")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) == set(Policy.model_fields)


def test_without_a_file_the_study_decides(study):
    own = read_policy(None)
    own.check(study)
    own.for_sums().check(terms_of(study))
    assert own.tighten(study).disclosure == study.disclosure
    assert own.demands() == {}


def test_all_keys_are_read(policy):
    own = policy(
        "allow_plain = true\nallow_rehearsals = true\nminimum_sites = 4\n"
        'protocols = ["masking"]\nfamilies = ["binomial", "poisson"]\n'
        'forbidden_columns = ["name"]\nminimum_rows = 10\nminimum_cell = 5\nmaximum_parameters_per_row = 0.1\n'
        'maximum_sums = 60\nmaximum_studies = 3\nrepeated_studies = "allow"\n'
    )
    assert set(own.demands()) == set(Policy.model_fields)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'protocols = ["paillier"]',
            r"the study asks for protocol = 'masking' and .* says no \(protocols = \['paillier'\]\)",
        ),
        ('families = ["poisson"]', r"asks for family = 'binomial' and .* \(families = \['poisson'\]\)"),
        (
            'forbidden_columns = ["ssn", "age"]',
            r"asks for the column age and .* \(forbidden_columns never lets it be used\)",
        ),
        ("maximum_sums = 50", r"asks for up to 51 sums \(by model.max_rounds\) and .* \(maximum_sums = 50\)"),
    ],
)
def test_a_study_outside_the_policy(policy, study, text, sentence):
    with pytest.raises(RefusalError, match=sentence):
        policy(text).check(study)


def test_a_rehearsal_needs_the_sites_consent(policy, study):
    rehearsal = study.replaced(rehearsal_of=study.hexdigest)
    with pytest.raises(RefusalError, match=r"says that it is a rehearsal .* set allow_rehearsals = true"):
        policy("allow_plain = true").check(rehearsal)
    policy("allow_rehearsals = true").check(rehearsal)


def test_a_roster_that_is_too_small_for_the_site(policy, study):
    with pytest.raises(RefusalError, match="4 sites and at least 5 are required"):
        policy("minimum_sites = 5").for_sums().check(terms_of(study))


def test_plain_needs_the_sites_consent(policy, study):
    plain = terms_of(study.replaced(protocol="plain"))
    with pytest.raises(RefusalError, match="allow_plain = true"):
        policy("allow_plain = false").for_sums().check(plain)
    policy("allow_plain = true").for_sums().check(plain)


@pytest.mark.parametrize(
    ("model", "column"),
    [
        ({"model__formula": "outcome ~ rx + age + (1 + risk | site)"}, "risk"),
        ({"model__formula": "outcome ~ rx + I(age / 10) + (1 | site)"}, "age"),
        ({"model__weights": "age"}, "age"),
        ({"model__offset": "age"}, "age"),
        ({}, "outcome"),
    ],
)
def test_a_forbidden_column_is_found_wherever_it_is_used(policy, study, changed, model, column):
    with pytest.raises(RefusalError, match=f"the column {column}"):
        policy(f'forbidden_columns = ["{column}"]').check(changed(study, **model))


def test_a_forbidden_column_that_is_declared_and_not_used_is_no_matter(policy, study, changed):
    policy('forbidden_columns = ["age"]').check(changed(study, model__formula="outcome ~ rx + (1 | site)"))


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("minimum_cell = 7", "minimum_cell", 7),
        ("minimum_cell = 1", "minimum_cell", 3),
        ("minimum_rows = 500", "minimum_rows", 500),
        ("minimum_rows = 1", "minimum_rows", 3),
        ("maximum_parameters_per_row = 0.1", "maximum_parameters_per_row", 0.1),
        ("maximum_parameters_per_row = 0.9", "maximum_parameters_per_row", 0.33),
    ],
)
def test_disclosure_limits_can_only_be_tightened(policy, study, text, key, expected):
    tightened = policy(text).tighten(study)
    assert getattr(tightened.disclosure, key) == expected
    assert tightened.layout == study.layout


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("minimum_site = 3", "unknown key 'minimum_site'; did you mean `minimum_sites`"),
        ("colour = 3", "unknown key 'colour'; use allow_plain, allow_rehearsals, "),
        ("allow_plain = 1", "allow_plain must be true or false, not '1'"),
        ("minimum_sites = 1", "minimum_sites must be a whole number of at least 2, not '1'"),
        ("minimum_sites = 2.5", "minimum_sites must be a whole number"),
        ('protocols = ["rot13"]', 'protocols must be a list of "masking", "paillier" and "plain"'),
        ('families = "binomial"', 'families must be a list of "binomial"'),
        ("forbidden_columns = [1]", "forbidden_columns must be a list of columns in quotes"),
        ("minimum_rows = true", "minimum_rows must be a whole number of at least 1"),
        ('minimum_cell = "3"', "minimum_cell must be a whole number of at least 1"),
        ("maximum_parameters_per_row = 1.5", "must be a number above 0 and at most 1, not '1.5'"),
        ("maximum_sums = 0", "maximum_sums must be a whole number of at least 1"),
        ("maximum_studies = -1", "maximum_studies must be a whole number of at least 1"),
        ('repeated_studies = "yes"', 'repeated_studies must be "refuse" or "allow", not \'yes\''),
        ("", "holds no rule; write the site's rules into it"),
        ("=", "is not valid TOML: "),
        ("[a]\nb = 1", "unknown key 'a'"),
    ],
)
def test_what_is_no_policy_is_refused_with_what_would_be(policy, text, sentence):
    with pytest.raises(InputError) as error:
        policy(text)
    assert sentence in str(error.value)
    assert "policy.toml" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = '\x00'"])
def test_a_file_that_is_no_text(tmp_path, content):
    (tmp_path / "policy.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"policy\.toml"):
        read_policy(tmp_path / "policy.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")
