"""HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message."""

from __future__ import annotations

from tests.vectors.independent.aes import gcm_open, gcm_seal
from tests.vectors.independent.curves import x25519, x25519_public
from tests.vectors.independent.hashing import hkdf_expand, hkdf_extract
from tests.vectors.independent.refusal import require

KEM = b"KEM\x00\x20"
SUITE = b"HPKE\x00\x20\x00\x01\x00\x02"


def _extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return hkdf_extract(b"HPKE-v1" + suite + label + secret, salt)


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return hkdf_expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def _key_and_nonce(shared: bytes, ephemeral: bytes, public: bytes, info: bytes) -> tuple[bytes, bytes]:
    """ExtractAndExpand (section 4.1) and KeySchedule (section 5.1)."""
    secret = _expand(KEM, _extract(KEM, b"", b"eae_prk", shared), b"shared_secret", ephemeral + public, 32)
    context = b"\x00" + _extract(SUITE, b"", b"psk_id_hash", b"") + _extract(SUITE, b"", b"info_hash", info)
    key = _extract(SUITE, secret, b"secret", b"")
    return _expand(SUITE, key, b"key", context, 32), _expand(SUITE, key, b"base_nonce", context, 12)


def seal(ephemeral_private: bytes, public: bytes, content: bytes, info: bytes) -> bytes:
    """The ephemeral public key (32 bytes), then the sealed content."""
    ephemeral = x25519_public(ephemeral_private)
    key, nonce = _key_and_nonce(x25519(ephemeral_private, public), ephemeral, public, info)
    return ephemeral + gcm_seal(key, nonce, content, b"")


def unseal(private: bytes, sealed: bytes, info: bytes) -> bytes:
    """What ``seal`` sealed for this private key."""
    require(len(sealed) >= 48, "InputError", "too short")
    ephemeral, content = sealed[:32], sealed[32:]
    key, nonce = _key_and_nonce(x25519(private, ephemeral), ephemeral, x25519_public(private), info)
    return gcm_open(key, nonce, content, b"", "InputError")
