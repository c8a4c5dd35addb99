"""The study file: defaults, canonical values, and one sentence for each mistake."""

from __future__ import annotations

import base64

import pytest

from fedglmm_secure.errors import InputError
from fedglmm_secure.study import Study
from fedglmm_secure.study.agreement import check_paillier
from fedglmm_secure.study.schema import Security

PEM = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n"


def key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


def test_defaults(study_of):
    study = study_of()
    assert study.model.nodes == 9
    assert (study.model.max_rounds, study.model.tolerance, study.model.penalty) == (50, 1e-10, 0.0)
    security = study.security
    assert (security.protocol, security.dropouts, security.on_dropout, security.minimum_sites) == (
        "masking",
        0,
        "wait",
        3,
    )
    assert (study.disclosure.minimum_cell, study.disclosure.maximum_parameters_per_row) == (3, 0.33)
    assert study.coordinator.certificate is None
    assert study_of(None, ('method = "agh"', "")).model.method == "laplace"
    assert study_of(None, ('method = "agh"', "")).model.nodes == 1
    assert study.variables["visits"].range == (0.0, 10_000.0)


def test_sites_are_sorted_by_name(study_of):
    study = study_of(None, ('name = "north"', 'name = "zulu"'))
    assert [site.name for site in study.sites] == ["south", "west", "zulu"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('method = "agh"', 'method = "agh"\nnodes = 0', "model.nodes: must be between 1 and 50, not 0"),
        ('method = "agh"', 'method = "agh"\nnodes = 51', "model.nodes: must be between 1 and 50, not 51"),
        ('method = "agh"', "nodes = 9", 'model.nodes: must be 1 with method = "laplace"'),
        ('method = "agh"', 'nodes = "9"', "model.nodes: must be a whole number, not '9'"),
        ('method = "agh"', "nodes = true", "model.nodes: must be a whole number, not True"),
        ('method = "agh"', "tolerance = nan", "model.tolerance: must be a finite number, not nan"),
        ('method = "agh"', "penalty = -1", "model.penalty: must be a number of at least 0"),
        ('method = "agh"', "max_rounds = 0", "model.max_rounds: must be between 1 and 1000"),
        ("method =", "metod =", "model.metod: is not a key of the study file; did you mean `method`?"),
        (
            'family = "binomial"',
            'family = "gamma"',
            "model.family: must be one of 'binomial', 'poisson' or 'gaussian'",
        ),
        ('id = "trial"', "", "study.id: is missing; add it"),
        ('id = "trial"', 'id = "a/b"', "study.id: must be 1 to 64 letters"),
        ('id = "trial"', "id = 3", "study.id: must be text in quotes, not 3"),
        ("[study]", "[[study]]", "study: must be a table"),
        ("[study]", "[stady]", "stady: is not a key of the study file; did you mean `study`? (also wrong: study)"),
        (
            "range = [20, 80]",
            "",
            "variables.age.range: is missing; write range = [low, high]: it fixes the scale",
        ),
        ("range = [20, 80]", "range = [80, 20]", "must be finite and rise from low to high, not [80, 20]"),
        ("range = [20, 80]", "range = [20, inf]", "must be finite"),
        ("range = [20, 80]", "range = [20]", "variables.age.range: must be two numbers"),
        ("range = [20, 80]", "range = [true, 80]", "variables.age.range: must be two numbers"),
        (
            "range = [20, 80]",
            'range = [20, 80]\nlevels = ["a", "b"]',
            "variables.age.levels: belongs to binary and",
        ),
        ('["no", "yes"]', '["no"]', "variables.y.levels: must be exactly 2 for a binary variable, not 1"),
        ('["no", "yes"]', '["no", "yes"]\nrange = [0, 1]', "variables.y.range: belongs to numeric and count"),
        ('["no", "yes"]', '["no", "yes"]\nshared = true', "variables.y.shared: belongs to group variables"),
        ('["no", "yes"]', '["no", " no "]', "variables.y.levels: holds `no` twice"),
        ("[0, 1]", '[0, "0.0"]', "variables.hmo.levels: holds `0` twice"),
        ("[0, 1]", '[0, "NA"]', "means a missing value in a table"),
        ("[0, 1]", "[0, nan]", "must hold text or numbers, not nan"),
        ("[0, 1]", "[0, [1]]", "must hold text or numbers, not [1]"),
        ('["placebo", "low", "high"]', '["placebo"]', "variables.rx.levels: must be at least 2"),
        ('["placebo", "low", "high"]', '"placebo"', "variables.rx.levels: must be a list of levels"),
        (
            'levels = ["placebo", "low", "high"]',
            "",
            "variables.rx.levels: is missing; a categorical variable needs",
        ),
        ('type = "count"', 'type = "count"\nrange = [-1, 5]', "variables.visits.range: must not be negative"),
        ('type = "count"', 'type = "cuont"', "variables.visits.type: must be one of"),
        ("[variables.visits]", "[variables.site]", "variables.site: must not be declared"),
        ("[variables.visits]", '[variables."a|b"]', "variables: 'a|b' is not a name"),
        (
            'name = "south"',
            'name = "north"',
            "sites.name: `north` and `north` have the same; each needs its own",
        ),
        ('name = "south"', 'name = "../etc"', "sites[2].name: must be 1 to 64 letters"),
        (
            'name = "south"',
            'name = "south"\npublic_key = "AAAA"',
            "sites[2].public_key: is not the base64 text",
        ),
        (
            'name = "south"',
            'name = "south"\ncertificate = "AAAA"',
            "sites[2].certificate: must be one PEM certificate",
        ),
        ('title = "A trial"', 'rehearsal_of = "abc"', "study.rehearsal_of: must be a study's digest"),
        ('title = "A trial"', 'title = "A\\u0007"', "study.title: must be at most 2000 printable characters"),
        ('title = "A trial"', "title = ", "is not valid TOML"),
    ],
)
def test_each_mistake_is_one_sentence(study_of, old, new, sentence):
    with pytest.raises(InputError) as error:
        study_of(None, (old, new))
    assert str(error.value).startswith("study.toml: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("[security]\ndropouts = -1", "security.dropouts: must be between 0 and 254"),
        ("[security]\nminimum_sites = 1", "security.minimum_sites: must be between 2 and 255, not 1"),
        (
            "[security]\nprotocl = 1",
            "security.protocl: is not a key of the study file; did you mean `protocol`?",
        ),
        ("[disclosure]\nminimum_cell = 0", "disclosure.minimum_cell: must be between"),
        (
            "[disclosure]\nmaximum_parameters_per_row = 2",
            "disclosure.maximum_parameters_per_row: must be between",
        ),
        ("[disclosures]", "disclosures: is not a key of the study file; did you mean `disclosure`?"),
        ('[coordinator]\ncertificate = "x"', "coordinator.certificate: must be one PEM certificate"),
        ("[security]\nminimum_sites = 1\ndropouts = 999", "(also wrong: security."),
    ],
)
def test_mistakes_in_optional_tables(text, table, sentence):
    with pytest.raises(InputError) as error:
        Study.parse(f"{text}\n{table}\n", "study.toml")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        ("y ~ agee + (1 | site)", "model.formula: `agee` is not declared; did you mean `age`?"),
        ("y ~ AGE + (1 | site)", "model.formula: `AGE` is not declared; did you mean `age`?"),
        ("y ~ zzz + (1 | site)", "`zzz` is not declared; add a table [variables.zzz]"),
        ("y ~ log(agee) + (1 | site)", "`agee` is not declared"),
        ("z ~ age + (1 | site)", "`z` is not declared"),
        ("y ~ age + (1 | hospital)", "the group `hospital` is not declared"),
        ("y ~ age + (1 | rx)", 'variables.rx.type: must be "group"'),
        ("y ~ doctor + (1 | site)", "`doctor` is a group, whose values stay private"),
        ("y ~ site + (1 | site)", "`site` can only be a group"),
        ("y ~ y + (1 | site)", "`y` is the outcome and cannot explain itself"),
        ("rx ~ age + (1 | site)", 'variables.rx.type: must be "binary" for the outcome'),
        ("y ~ I(rx * 2) + (1 | site)", "`I(rx * 2)` does arithmetic on `rx`, which is not a number"),
        ("y ~ log(visits) + (1 | site)", "`log(visits)` is not finite over the declared ranges"),
        ("y ~ I(1 / visits) + (1 | site)", "is not finite over the declared ranges"),
        ("y ~ I(age**9**9**9) + (1 | site)", "is not finite over the declared ranges"),
        ("y ~ I(age * 0) + (1 | site)", "`I(age * 0)` is the same for every row; remove it"),
        ("y ~ 0 + (1 | site)", "has no fixed effect"),
    ],
)
def test_formula_must_agree_with_the_variables(study_of, formula, sentence):
    with pytest.raises(InputError) as error:
        study_of(formula)
    assert sentence in str(error.value)
    assert str(error.value).startswith("study.toml: ")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("(1 | site)", "(1 | site) + (1 | doctor)", "model.formula: more than one grouping variable"),
        (
            'type = "group"',
            'type = "group"\nshared = true\nlevels = ["a", "b"]',
            "variables: a group shared by sites",
        ),
    ],
)
def test_what_is_not_available_yet_is_refused(text, old, new, what):
    with pytest.raises(InputError) as error:
        Study.parse(text.replace(old, new, 1), "study.toml")
    assert what in str(error.value)
    assert "is not available in this version" in str(error.value)


def test_at_most_255_sites(text):
    extra = "".join(f'[[sites]]\nname = "s{number}"\n' for number in range(253))
    with pytest.raises(InputError, match="sites: must be at most 255, not 256"):
        Study.parse(text + extra, "study.toml")


def test_two_sites_cannot_share_a_key(study_of):
    with pytest.raises(InputError, match=r"sites\.public_key: `north` and `south` have the same"):
        study_of().replaced(identities={"north": (key(1), None), "south": (key(1), None)})


def test_roster(study_of):
    study = study_of()
    with pytest.raises(InputError, match="sites: north, south, west have no public_key"):
        study.roster()
    study = study.replaced(identities={"south": (key(2), PEM), "north": (key(1), None), "west": (key(3), None)})
    assert study.roster() == (("north", b"\1" * 32), ("south", b"\2" * 32), ("west", b"\3" * 32))


def test_encryption_keys_of_the_roster(study_of):
    study = study_of()
    with pytest.raises(InputError, match="sites: north, south, west have no encryption_key"):
        study.encryption_keys()
    with pytest.raises(InputError, match=r"sites\.encryption_key: `north` and `south` have the same"):
        study.replaced(encryption_keys={"north": key(1), "south": key(1)})
    keyed = study.replaced(encryption_keys={"south": key(2), "north": key(1), "west": key(3)})
    assert keyed.encryption_keys() == (("north", b"\1" * 32), ("south", b"\2" * 32), ("west", b"\3" * 32))
    other_identity = keyed.replaced(identities={"west": (key(9), None)})
    with pytest.raises(InputError, match="sites: west has no encryption_key"):
        other_identity.encryption_keys()
    added = keyed.replaced(identities={"east": (key(7), PEM)}, encryption_keys={"east": key(8)}).sites[0]
    assert (added.name, added.public_key, added.encryption_key) == ("east", key(7), key(8))


P, Q, R, S = (2**exponent - 1 for exponent in (521, 1279, 2203, 2281))  # primes of Mersenne
MODULUS = f"{Q * R:x}"


def dealt(text, threshold=2, modulus=MODULUS, security='protocol = "paillier"'):
    table = f'[security]\n{security}\n[paillier]\nmodulus = "{modulus}"\nthreshold = {threshold}\n'
    return Study.parse(text.replace("[[sites]]", table + "[[sites]]", 1), "study.toml")


def test_the_paillier_key(text):
    study = dealt(text)
    assert (study.paillier.modulus, study.paillier.threshold) == (MODULUS, 2)
    assert dealt(text, modulus=f"  00{MODULUS.upper()} ").digest == study.digest
    assert dealt(text, threshold=3).digest != study.digest
    assert dealt(text, modulus=f"{Q * S:x}").digest != study.digest
    assert Study.parse(study.to_toml(), "study.toml") == study
    assert study.replaced(protocol="paillier") == study
    assert study.replaced(protocol="masking").paillier is None


@pytest.mark.parametrize(
    "modulus",
    ["", "xyz", f"{2**2047:x}", f"{2**2047 - 1:x}", f"{2**4096 + 1:x}", "f" * 100_000, "-5", "0x11", "٣" * 600],
)
def test_what_is_no_modulus_is_refused(text, modulus):
    with pytest.raises(InputError, match=r"study\.toml: paillier\.modulus: must be an odd number of 2048 to 4096 bits"):
        dealt(text, modulus=modulus)


@pytest.mark.parametrize(
    ("threshold", "security", "sentence"),
    [
        (4, 'protocol = "paillier"', "paillier.threshold: must be more than half of the 3 sites"),
        (1, 'protocol = "paillier"', "paillier.threshold: must be between 2 and 255, not 1"),
        (2, 'protocol = "masking"', 'paillier: belongs to security.protocol = "paillier"'),
    ],
)
def test_a_paillier_key_that_does_not_fit_is_refused(text, threshold, security, sentence):
    with pytest.raises(InputError) as error:
        dealt(text, threshold, security=security)
    assert f"study.toml: {sentence}" in str(error.value)


def test_dropouts_leave_enough_sites_to_decrypt(text):
    sites, key_dealt = dealt(text).sites, dealt(text, 3).paillier
    check_paillier(Security(protocol="paillier", dropouts=0), key_dealt, sites)
    with pytest.raises(InputError, match=r"security\.dropouts: must be at most 0, not 1, as it takes 3 of the 3 sites"):
        check_paillier(Security(protocol="paillier", dropouts=1), key_dealt, sites)


def test_half_of_the_sites_are_too_few_to_decrypt(text):
    with pytest.raises(InputError, match=r"paillier\.threshold: must be more than half of the 4 sites"):
        dealt(text + '[[sites]]\nname = "east"\n', 2)


@pytest.mark.parametrize(
    ("modulus", "why"), [(65_521 * Q * Q, "has a small factor"), (Q**2, "is a power of"), (R, "is a prime")]
)
def test_a_modulus_under_which_anybody_could_decrypt_is_refused(text, modulus, why):
    with pytest.raises(InputError, match=rf"paillier\.modulus: {why}.*deal the key again"):
        dealt(text, modulus=f"{modulus:x}")


def test_paillier_warnings(study_of, text):
    undealt = study_of().replaced(protocol="paillier").warnings()
    assert any("no key is dealt yet; run `fedglmm paillier deal`" in sentence for sentence in undealt)
    legacy = dealt(text, modulus=f"{P * R:x}").warnings()
    assert any("shorter than 3072 bits, a legacy option" in sentence for sentence in legacy)
    assert not any("paillier" in sentence for sentence in dealt(text).warnings())


def test_a_study_too_large_for_paillier_is_told_so(study_of):
    many = " + ".join(f"I(age**{power})" for power in range(2, 50))
    large = study_of(f"y ~ rx + age + hmo + visits + {many} + (1 | doctor)").replaced(protocol="paillier").warnings()
    assert any("seconds a sum at each site for this model's" in sentence for sentence in large)
    small = study_of().replaced(protocol="paillier").warnings()
    assert not any("seconds a sum" in sentence for sentence in small)


def test_what_a_lost_site_means_is_said(study_of):
    security = '[security]\ndropouts = 1\non_dropout = "exclude"\nminimum_sites = 2\n[[sites]]\nname = "north"'
    warned = study_of("y ~ rx + (1 | site)", ('[[sites]]\nname = "north"', security)).warnings()
    assert any("learn what that site contributed" in sentence for sentence in warned)
    assert any("1 are more than 3 sites can lose and still open a sum, which is 0" in sentence for sentence in warned)


def test_replaced_changes_what_is_given_and_nothing_else(study_of):
    study = study_of()
    copy = study.replaced(protocol="plain", coordinator_certificate=PEM, rehearsal_of=study.hexdigest)
    assert copy.security.protocol == "plain"
    assert copy.coordinator.certificate == PEM
    assert copy.study.rehearsal_of == study.hexdigest
    assert (copy.model, copy.variables, copy.sites) == (study.model, study.variables, study.sites)
    assert study.replaced() == study
    added = study.replaced(identities={"east": (key(1), PEM)})
    assert [site.name for site in added.sites] == ["east", "north", "south", "west"]


def test_a_copy_is_validated_and_has_its_own_digest(study_of):
    study = study_of()
    before = study.digest
    copy = study.model_copy(update={"security": {"protocol": "plain"}})
    assert copy.digest != before
    with pytest.raises(InputError):
        study.model_copy(update={"sites": [{"name": "x"}, {"name": "x"}]})


def test_a_study_cannot_be_changed(study_of):
    with pytest.raises(ValueError, match="frozen"):
        study_of().study.title = "other"


def test_warnings(study_of):
    used = "y ~ rx + age + hmo + visits + (1 | doctor)"
    keys = {
        name: (key(number), PEM.replace("TU", f"T{number}")) for number, name in enumerate(["north", "south", "west"])
    }
    complete = study_of(used).replaced(identities=keys, coordinator_certificate=PEM)
    assert complete.warnings() == ()
    (without_keys,) = study_of(used).warnings()
    assert without_keys.startswith("sites: north, south, west are without a public_key or certificate")
    unused = study_of("y ~ rx + hmo + visits + (1 | site)").warnings()[0]
    assert unused == "variables: age, doctor are declared but not used in the model"
    plain = study_of(used).replaced(protocol="plain").warnings()
    assert any("shows the coordinator every site's numbers" in sentence for sentence in plain)
    few = study_of(used, ('[[sites]]\nname = "west"\n', "")).warnings()
    assert few[0].startswith("sites: the roster lists 2, fewer than security.minimum_sites = 3")
    two = study_of(used, ('[[sites]]\nname = "north"', '[security]\nminimum_sites = 2\n[[sites]]\nname = "north"'))
    assert "whoever knows one site's contribution reads the other's" in two.warnings()[0]
