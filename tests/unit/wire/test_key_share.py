"""A dealt key: the study that names it, and share files that open for one site of one dealing."""

from __future__ import annotations

import base64
import secrets
import tomllib
from pathlib import Path

import pytest
import tomli_w

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum import paillier
from fedglmm_secure.securesum.sealed import seal
from fedglmm_secure.study import Study
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.identity import Identity
from fedglmm_secure.wire.key_share import Dealing, deal_key, open_share, share_file

NAMES = ("north", "south", "west")
KEYS = {name: identity.generate() for name in (*NAMES, "stranger")}


def study_of(keys: dict[str, Identity], **replaced: object) -> Study:
    study = Study.from_dict(
        {
            "study": {"id": "trial"},
            "model": {"formula": "y ~ 1 + (1 | site)", "family": "binomial"},
            "variables": {"y": {"type": "binary", "levels": [0, 1]}},
            "sites": [{"name": name} for name in NAMES],
        },
        "study.toml",
    )
    return study.replaced(
        identities={name: (keys[name].public_key, keys[name].certificate) for name in NAMES},
        encryption_keys={name: keys[name].encryption_key for name in NAMES},
    ).model_copy(update=replaced)


@pytest.fixture(scope="module")
def dealing() -> Dealing:
    return deal_key(study_of(KEYS), paillier.LEGACY_BITS, secrets.token_bytes)


def file_of(dealing: Dealing, site: str = "south") -> bytes:
    return share_file(dealing.study, site, dealing.shares[site])


def test_the_dealt_study_names_the_key_and_needs_a_new_approval(dealing):
    before = study_of(KEYS)
    assert dealing.study.security.protocol == "paillier"
    assert dealing.study.paillier.threshold == dealing.threshold == 2
    assert paillier.PublicKey.from_hex(dealing.study.paillier.modulus).bits == 2048
    assert dealing.study.digest != before.digest
    assert Study.parse(dealing.study.to_toml(), "study.toml") == dealing.study
    assert (dealing.study.model, dealing.study.sites) == (before.model, before.sites)


def test_each_site_opens_its_own_share(dealing):
    for place, name in enumerate(NAMES, start=1):
        opened = open_share(file_of(dealing, name), KEYS[name], dealing.study)
        assert opened == dealing.shares[name]
        assert opened.index == place


def test_shares_from_files_decrypt(dealing):
    public = paillier.PublicKey.from_hex(dealing.study.paillier.modulus)
    ciphertexts = paillier.encrypt(public, [2**2000, 7], paillier.prepare(public, 2, secrets.token_bytes))
    shares = [open_share(file_of(dealing, name), KEYS[name], dealing.study) for name in ("west", "north")]
    partials = {share.index: paillier.partial_decrypt(public, share, ciphertexts) for share in shares}
    assert paillier.combine(public, 2, 3, partials) == [2**2000, 7]


def test_the_model_may_change_and_the_roster_may_not(dealing):
    other_model = dealing.study.model_copy(update={"study": {"id": "trial", "title": "Another title"}})
    assert open_share(file_of(dealing), KEYS["south"], other_model) == dealing.shares["south"]
    moved = dealing.study.replaced(encryption_keys={"west": KEYS["stranger"].encryption_key})
    with pytest.raises(InputError, match="another Paillier key or another roster"):
        open_share(file_of(dealing), KEYS["south"], moved)


def test_a_share_of_another_dealing_is_refused(dealing):
    again = deal_key(dealing.study, paillier.LEGACY_BITS, secrets.token_bytes)
    with pytest.raises(InputError, match="was dealt for study trial with another Paillier key"):
        open_share(file_of(dealing), KEYS["south"], again.study)


def test_a_share_of_another_threshold_is_refused(dealing):
    three = dealing.study.model_copy(update={"paillier": {**dealing.study.paillier.model_dump(), "threshold": 3}})
    with pytest.raises(InputError, match="was dealt for study trial"):
        open_share(file_of(dealing), KEYS["south"], three)


def test_a_study_without_a_key_has_no_shares(dealing):
    with pytest.raises(InputError, match="the study has no Paillier key; make one with `fedglmm paillier deal`"):
        open_share(file_of(dealing), KEYS["south"], study_of(KEYS))


def test_the_share_of_another_site_is_refused(dealing):
    with pytest.raises(InputError, match="is the key share of site south, and these keys are those of west"):
        open_share(file_of(dealing), KEYS["west"], dealing.study)
    with pytest.raises(InputError, match="these keys are not in the study's roster"):
        open_share(file_of(dealing), KEYS["stranger"], dealing.study)


def test_a_share_put_under_another_name_does_not_open(dealing):
    """The name in the file is only for the sentence; what counts is bound to what is sealed."""
    fields = tomllib.loads(file_of(dealing, "south").decode()) | {"site": "west"}
    with pytest.raises(InputError, match="is damaged"):
        open_share(tomli_w.dumps(fields).encode(), KEYS["west"], dealing.study)


def test_a_share_sealed_for_another_purpose_does_not_open(dealing):
    fields = tomllib.loads(file_of(dealing).decode())
    sealed = seal(KEYS["south"].encryption.public_bytes, b"\x05", "another purpose")
    fields["sealed"] = base64.b64encode(sealed).decode()
    with pytest.raises(InputError, match="is damaged"):
        open_share(tomli_w.dumps(fields).encode(), KEYS["south"], dealing.study)


def test_another_encryption_key_is_named(dealing):
    own, other = KEYS["south"], KEYS["stranger"]
    mixed = Identity(own.signing_key_pem, own.tls_key_pem, own.certificate_pem, other.encryption_key_pem)
    with pytest.raises(
        InputError, match=r"sealed to the encryption key that the study gives south, and encryption\.key"
    ):
        open_share(file_of(dealing), mixed, dealing.study)
    old = Identity(own.signing_key_pem, own.tls_key_pem, own.certificate_pem)
    with pytest.raises(InputError, match=r"encryption\.key is missing"):
        open_share(file_of(dealing), old, dealing.study)


@pytest.mark.parametrize("field", ["sealed", "format", "site", "study", "dealing"])
def test_a_damaged_share_is_refused(dealing, field):
    fields = tomllib.loads(file_of(dealing).decode())
    for damaged in ({**fields, field: 7}, {key: fields[key] for key in fields if key != field}):
        with pytest.raises(InputError, match="is not a key share, or is damaged"):
            open_share(tomli_w.dumps(damaged).encode(), KEYS["south"], dealing.study)


@pytest.mark.parametrize("sealed", ["", "AAAA", "not base64!", "A" * 2000])
def test_a_damaged_secret_is_refused(dealing, sealed):
    fields = tomllib.loads(file_of(dealing).decode()) | {"sealed": sealed}
    with pytest.raises(InputError, match="is damaged; have the dealer send it again"):
        open_share(tomli_w.dumps(fields).encode(), KEYS["south"], dealing.study)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[[", b"[" * 100_000, b'format = "fedglmm-share/2"'])
def test_what_is_no_share_file_is_refused(dealing, data):
    with pytest.raises(InputError, match="is not a key share"):
        open_share(data, KEYS["south"], dealing.study)


def test_an_unusable_encryption_key_is_named(dealing):
    study = dealing.study.replaced(encryption_keys={"west": base64.b64encode(bytes(32)).decode()})
    with pytest.raises(InputError, match=r"sites\.encryption_key: that of west is not an X25519 key"):
        share_file(study, "west", dealing.shares["west"])


def test_secrets_are_neither_in_repr_nor_in_the_file(dealing):
    secret = dealing.shares["south"].secret
    shown = repr(dealing) + file_of(dealing).decode()
    raw = secret.to_bytes((secret.bit_length() + 7) // 8, "big")
    for form in (f"{secret:x}"[:32], str(secret)[:32], base64.b64encode(raw[:30]).decode()):
        assert form not in shown


def test_a_share_is_read_from_a_private_file(dealing, tmp_path: Path):
    path = tmp_path / "south.share"
    path.write_bytes(file_of(dealing))
    path.chmod(0o640)
    with pytest.raises(InputError, match=f"{path}: can be read by others than its owner; run `chmod 600 {path}`"):
        shell.read_share(path, KEYS["south"], dealing.study)
    path.chmod(0o600)
    assert shell.read_share(path, KEYS["south"], dealing.study) == dealing.shares["south"]
    with pytest.raises(InputError, match=f"{path}: is the key share of site south"):
        shell.read_share(path, KEYS["west"], dealing.study)
    with pytest.raises(InputError, match=r"none\.share: cannot be read as a key share"):
        shell.read_share(tmp_path / "none.share", KEYS["south"], dealing.study)


def test_a_roster_of_one_is_not_dealt_to():
    alone = study_of(KEYS, sites=[{"name": "north"}])
    with pytest.raises(InputError, match="2 to 255 sites, not 1"):
        deal_key(alone, paillier.LEGACY_BITS, secrets.token_bytes)
