"""Sealing: opens for one reader under the same fields, and against HPKE written out from RFC 9180."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedglmm_secure import canonical
from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum.sealed import EncryptionIdentity, seal

READER = EncryptionIdentity(X25519PrivateKey.from_private_bytes(bytes(range(32))))


def test_what_is_sealed_opens():
    for content in (b"", b"a share", secrets.token_bytes(5000)):
        sealed = seal(READER.public_bytes, content, "label", "site", 3)
        assert len(sealed) == len(content) + 48
        assert READER.open(sealed, "label", "site", 3) == content


def test_it_opens_for_nobody_else_and_under_nothing_else():
    sealed = seal(READER.public_bytes, b"a share", "label", "site", 3)
    other = EncryptionIdentity(X25519PrivateKey.generate())
    attempts = [
        (other, sealed, ("label", "site", 3)),
        (READER, sealed, ("label", "site", 4)),
        (READER, sealed, ("label", "site")),
        (READER, sealed, ("another", "site", 3)),
        (READER, sealed[:-1], ("label", "site", 3)),
        (READER, sealed + b"\0", ("label", "site", 3)),
        (READER, b"", ("label", "site", 3)),
        (READER, bytes(60), ("label", "site", 3)),
    ]
    attempts += [(READER, sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :], ("label", "site", 3)) for i in (0, 40)]
    for reader, data, fields in attempts:
        with pytest.raises(InputError, match="cannot be opened"):
            reader.open(data, *fields)


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), b"short", b""])
def test_keys_that_give_no_secret_are_refused(key):
    with pytest.raises(InputError, match="not an X25519 key"):
        seal(key, b"a share", "label")


def test_two_seals_differ():
    assert seal(READER.public_bytes, b"a", "label") != seal(READER.public_bytes, b"a", "label")


def test_repr_shows_the_public_half_only():
    assert repr(READER) == f"EncryptionIdentity(public={READER.public_bytes.hex()})"
    assert bytes(range(32)).hex() not in repr(READER)


def test_it_is_the_standard_hpke():
    """RFC 9180, sections 4.1, 5.1 and 6.1, from HMAC and AES alone: mode base, suite (0x0020, 0x0001, 0x0002)."""
    sealed = seal(READER.public_bytes, b"a share", "label", "site")
    ephemeral, box = sealed[:32], sealed[32:]
    private = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    kem, suite = b"KEM" + b"\x00\x20", b"HPKE" + b"\x00\x20\x00\x01\x00\x02"
    dh = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    prk = extract(b"", b"eae_prk", dh, kem)
    shared = expand(prk, b"shared_secret", ephemeral + READER.public_bytes, 32, kem)
    info = canonical.encode(["label", "site"])
    context = b"\0" + extract(b"", b"psk_id_hash", b"", suite) + extract(b"", b"info_hash", info, suite)
    secret = extract(shared, b"secret", b"", suite)
    key, nonce = expand(secret, b"key", context, 32, suite), expand(secret, b"base_nonce", context, 12, suite)
    assert AESGCM(key).decrypt(nonce, box, b"") == b"a share"


def extract(salt: bytes, label: bytes, material: bytes, suite: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, hashlib.sha256)


def expand(key: bytes, label: bytes, info: bytes, size: int, suite: bytes) -> bytes:
    """One block is enough for 32 bytes."""
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labelled + b"\1", hashlib.sha256)[:size]
