"""Identities: what the files hold, and what never shows."""

from __future__ import annotations

import base64
import tomllib

import pytest
from cryptography import x509

from fedglmm_secure.errors import InputError
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.identity import Identity, certificate_der


def test_public_file_holds_what_the_roster_needs():
    mine = identity.generate()
    public = tomllib.loads(mine.files()["public.toml"].decode())
    assert set(public) == {"public_key", "certificate", "encryption_key"}
    assert base64.b64decode(public["encryption_key"]) == mine.encryption.public_bytes
    assert base64.b64decode(public["public_key"]) == mine.signing.public_bytes
    assert certificate_der(public["certificate"]) == certificate_der(mine.certificate_pem)


def test_files_read_back():
    mine = identity.generate()
    files = mine.files()
    again = Identity(files["signing.key"], files["tls.key"], files["tls.crt"], files["encryption.key"])
    assert again.signing.public_bytes == mine.signing.public_bytes
    assert again.encryption.public_bytes == mine.encryption.public_bytes
    assert set(identity.PRIVATE_FILES) < set(files)


def test_keys_of_an_earlier_version_have_no_encryption_key():
    mine = identity.generate()
    old = Identity(mine.signing_key_pem, mine.tls_key_pem, mine.certificate_pem)
    assert set(tomllib.loads(old.files()["public.toml"].decode())) == {"public_key", "certificate"}
    assert "encryption.key" not in old.files()
    with pytest.raises(InputError, match=r"encryption\.key is missing, .*make new keys"):
        _ = old.encryption_key


@pytest.mark.parametrize("content", [b"", b"not a key", identity.generate().signing_key_pem])
def test_wrong_encryption_key_is_refused_by_name(content):
    with pytest.raises(InputError, match=r"encryption\.key is not"):
        _ = Identity(b"", b"", b"", content).encryption


def test_certificate_is_for_the_fixed_server_name_and_never_expires():
    loaded = x509.load_pem_x509_certificate(identity.generate().certificate_pem)
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fedglmm"]
    assert loaded.not_valid_after_utc.year == 9999


def test_two_identities_share_nothing():
    first, second = identity.generate(), identity.generate()
    assert first.public_key != second.public_key
    assert first.encryption_key != second.encryption_key
    subjects = {x509.load_pem_x509_certificate(i.certificate_pem).subject for i in (first, second)}
    assert len(subjects) == 2


def test_no_private_key_in_repr():
    mine = identity.generate()
    assert "PRIVATE" not in repr(mine)
    assert mine.signing._private_key.private_bytes_raw().hex() not in repr(mine.signing)
    assert mine.encryption._private_key.private_bytes_raw().hex() not in repr(mine.encryption)


@pytest.mark.parametrize("content", [b"", b"not a key", identity.generate().tls_key_pem])
def test_wrong_signing_key_is_refused_by_name(content):
    with pytest.raises(InputError, match=r"signing\.key is not"):
        _ = Identity(content, b"", b"").signing


def test_wrong_certificate_is_refused():
    with pytest.raises(InputError, match="not in PEM"):
        certificate_der("nonsense")


def test_private_keys_are_encrypted_with_a_passphrase():
    mine = identity.generate(b"a passphrase")
    for name in identity.PRIVATE_FILES:
        assert identity.is_encrypted(mine.files()[name])
    mine.check()
    assert not identity.is_encrypted(mine.clear_tls_key)
    for wrong in (None, b"another"):
        with pytest.raises(InputError, match=r"signing\.key cannot be decrypted with this passphrase"):
            Identity(mine.signing_key_pem, mine.tls_key_pem, mine.certificate_pem, wrong).check()


def test_a_certificate_of_another_key_is_refused():
    mine, other = identity.generate(), identity.generate()
    with pytest.raises(InputError, match=r"tls\.key and tls\.crt are not of one pair"):
        Identity(mine.signing_key_pem, mine.tls_key_pem, other.certificate_pem).check()
