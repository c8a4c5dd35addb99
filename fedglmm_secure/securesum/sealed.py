"""Bytes for one reader: HPKE in base mode (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM.

A label and fields are bound to them (HPKE's ``info``): opened with any others, they do not open. HPKE says nothing
about who sealed; what must be authentic is signed, or comes from hand to hand.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from fedglmm_secure import canonical
from fedglmm_secure.errors import InputError

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class EncryptionIdentity:
    """The private half of a site's X25519 key, which opens what was sealed to it. ``repr`` shows the public half."""

    def __init__(self, private_key: X25519PrivateKey) -> None:
        """Wrap a key that was read or generated elsewhere."""
        self._private_key = private_key

    @property
    def public_bytes(self) -> bytes:
        """The 32 bytes that stand in the study's roster."""
        return self._private_key.public_key().public_bytes_raw()

    def open(self, sealed: bytes, label: str, *fields: object) -> bytes:
        """What was sealed; InputError when it was not to this key, not under these fields, or not as it is now."""
        try:
            return _SUITE.decrypt(sealed, self._private_key, canonical.encode([label, *fields]))
        except InvalidTag as error:
            raise InputError("cannot be opened: it is damaged, or was sealed for another reader or purpose") from error

    def __repr__(self) -> str:
        return f"EncryptionIdentity(public={self.public_bytes.hex()})"


def seal(public_bytes: bytes, content: bytes, label: str, *fields: object) -> bytes:
    """``content`` for the holder of the X25519 key ``public_bytes`` (32) alone: 32 + 16 bytes longer than it.

    Raises InputError for a key that is none. The ephemeral key is drawn by the cryptography library.
    """
    try:
        reader = X25519PublicKey.from_public_bytes(public_bytes)
        return _SUITE.encrypt(content, reader, canonical.encode([label, *fields]))
    except ValueError as error:  # another length, or one of the few points that give no secret
        raise InputError("is not an X25519 key that can be sealed to; make another with `fedglmm keys new`") from error
