"""The digest: unchanged by what means the same, changed by everything else."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_secure.study import Study

PEM = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n"


def parsed(text: str) -> Study:
    return Study.parse(text, "study.toml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[study]", "# a comment\n\n[study]"),
        ("[study]", "[security]\nprotocol = 'masking'\ndropouts = 0\nminimum_sites = 3\n[study]"),
        ("[study]", "[disclosure]\nminimum_cell = 3\n[coordinator]\n[study]"),
        ('method = "agh"', 'method = "agh"\nnodes = 9\nmax_rounds = 50\ntolerance = 1e-10\npenalty = 0'),
        ('family = "binomial"\nmethod = "agh"', 'method = "agh"\nfamily = "binomial"'),
        ("y ~ rx + age + (1 | site)", "y~rx+ age  + (1|site)"),
        ("range = [20, 80]", "range = [ 20.0,\n 8e1 ]"),
        ("levels = [0, 1]", 'levels = ["0", 1.0]'),
        ('["no", "yes"]', "['no', \"yes \"]"),
        ('type = "count"', 'type = "count"\nrange = [0, 10_000]\nshared = false'),
        (
            '[[sites]]\nname = "north"\n\n[[sites]]\nname = "south"',
            '[[sites]]\nname="south"\n[[sites]]\nname="north"',
        ),
        ("\n", "\r\n"),
    ],
)
def test_what_means_the_same_has_the_same_digest(text, old, new):
    assert old in text
    changed = text.replace(old, new)
    assert changed != text
    assert parsed(changed).hexdigest == parsed(text).hexdigest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id = "trial"', 'id = "trial2"'),
        ('title = "A trial"', 'title = "Another trial"'),
        ('title = "A trial"', f'title = "A trial"\nrehearsal_of = "{"0" * 64}"'),
        ("rx + age", "age + rx"),
        ("rx + age", "rx"),
        ('method = "agh"', 'method = "agh"\nnodes = 10'),
        ('method = "agh"', 'method = "laplace"'),
        ('method = "agh"', 'method = "agh"\nmax_rounds = 51'),
        ('method = "agh"', 'method = "agh"\ntolerance = 1e-9'),
        ('["placebo", "low", "high"]', '["low", "placebo", "high"]'),
        ('["placebo", "low", "high"]', '["placebo", "low", "high", "other"]'),
        ("range = [20, 80]", "range = [20, 81]"),
        ("[variables.visits]", "[variables.visit]"),
        ('[variables.doctor]\ntype = "group"', ""),
        ('name = "west"', 'name = "east"'),
        ('[[sites]]\nname = "west"', ""),
        ('name = "west"', f'name = "west"\npublic_key = "{"A" * 43}="'),
        ('name = "west"', f"name = 'west'\ncertificate = '''{PEM}'''"),
        ("[study]", f"[coordinator]\ncertificate = '''{PEM}'''\n[study]"),
        ('method = "agh"', 'method = "agh"\npenalty = 0.1'),
        ('method = "agh"', 'method = "agh"\npenalty = [0]'),
        ('method = "agh"', 'method = "agh"\noffset = "age"'),
        ('method = "agh"', 'method = "agh"\nweights = "age"'),
        ("(1 | site)", "(age | site)"),
        ("[study]", "[security]\nprotocol = 'plain'\n[study]"),
        ("[study]", "[security]\nminimum_sites = 2\n[study]"),
        ("[study]", "[disclosure]\nminimum_cell = 4\n[study]"),
        ("[study]", "[disclosure]\nmaximum_parameters_per_row = 0.2\n[study]"),
    ],
)
def test_what_matters_changes_the_digest(text, old, new):
    assert old in text
    assert parsed(text.replace(old, new)).hexdigest != parsed(text).hexdigest


PATH = 'method = "agh"\npenalty = [0, 1]'
VALIDATION = PATH + '\nselection = "validation"'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (PATH, PATH + '\nselection = "aic"', True),
        (PATH, PATH.replace("0", "0.0"), True),
        (VALIDATION, VALIDATION + "\n[validation]", True),
        (VALIDATION, VALIDATION + "\n[validation]\nseed = 1\nfraction = 0.3", True),
        (PATH, PATH.replace("1", "2"), False),
        (PATH, PATH + '\nselection = "bic"', False),
        (PATH, VALIDATION, False),
        (VALIDATION, VALIDATION + "\n[validation]\nseed = 2", False),
        (VALIDATION, VALIDATION + "\n[validation]\nfraction = 0.2", False),
    ],
)
def test_how_a_penalty_is_chosen_is_part_of_the_digest(text, one, other, same):
    first, second = (parsed(text.replace('method = "agh"', new)) for new in (one, other))
    assert (first.digest == second.digest) is same
    assert parsed(second.to_toml()) == second


def shuffled(value: Any, order: Any) -> Any:
    """The same tables with their keys, and the roster, in another order."""
    if isinstance(value, dict):
        keys = order.draw(st.permutations(list(value)))
        return {key: shuffled(value[key], order) for key in keys}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return order.draw(st.permutations(value))
    return value


@given(st.data())
def test_order_of_tables_keys_and_sites_does_not_matter(study_of, data):
    study = study_of()
    tables = shuffled(tomllib.loads(study.to_toml()), data)
    assert Study.from_dict(tables, "study.toml").digest == study.digest


def test_round_trip_through_toml(study_of):
    study = study_of().replaced(
        identities={"north": ("A" * 43 + "=", PEM)}, coordinator_certificate=PEM, rehearsal_of="0" * 64
    )
    again = parsed(study.to_toml())
    assert again == study
    assert again.digest == study.digest
    assert again.to_toml() == study.to_toml()


def test_the_digest_is_fixed_for_this_version_of_the_form(study_of):
    """Approvals outlive an upgrade only while this holds; a new form needs a new label."""
    assert study_of().hexdigest == "fbe99a664f4b4593ddb711aae59dc333dd46187a31beacd1b10f18128f1c03bf"
    assert len(study_of().digest) == 32


def test_a_digest_with_every_key_of_the_model_is_fixed_too(text):
    """Keys without a value are left out: the digest above is older than the keys below."""
    study = parsed(text.replace('method = "agh"', VALIDATION + '\noffset = "age"\nweights = "visits"'))
    assert study.hexdigest == "3e4d0623b31f5addd4c4dedc41feb5c6c6ba9d2a9a04c696ecf2b64f3aab3d9e"
