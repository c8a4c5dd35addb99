"""Shares sealed from one site for another, so that the coordinator relays what it cannot read.

AES-256-GCM (NIST SP 800-38D) under a key that HKDF derives from the two sites' X25519 wrap keys of this very sum. The
zero nonce is safe because a derived key seals exactly one share: the label, the sum, the ordered pair and, for a
self-mask, the context that its seed depends on, are in ``info``.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedglmm_secure import canonical
from fedglmm_secure.errors import PeerError

_ZERO_NONCE = bytes(12)


def seal(share: bytes, secret: bytes, session_id: bytes, label: str, fields: tuple[object, ...]) -> bytes:
    """``share`` for the one who knows ``secret``; ``fields`` say which share this is: both ends must agree on them."""
    key, associated = _key(secret, session_id, label, fields)
    return AESGCM(key).encrypt(_ZERO_NONCE, share, associated)


def unseal(sealed: bytes, secret: bytes, session_id: bytes, label: str, fields: tuple[object, ...]) -> bytes:
    """The share; PeerError when it was not sealed by the other end for these ``fields``."""
    key, associated = _key(secret, session_id, label, fields)
    try:
        return AESGCM(key).decrypt(_ZERO_NONCE, sealed, associated)
    except InvalidTag:
        raise PeerError(
            "a share from another site was changed on its way, or belongs to another sum; do not trust this coordinator"
        ) from None


def _key(secret: bytes, session_id: bytes, label: str, fields: tuple[object, ...]) -> tuple[bytes, bytes]:
    """The wrapping key and the associated data."""
    info = canonical.encode([label, *fields])
    return HKDF(algorithm=SHA256(), length=32, salt=session_id, info=info).derive(secret), info
