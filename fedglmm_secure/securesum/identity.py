"""A party's long-term signing key: Ed25519 over canonical bytes, never over protobuf bytes (RFC 8032)."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedglmm_secure import canonical
from fedglmm_secure.errors import PeerError


class SigningIdentity:
    """The private half of a site's roster key. Its ``repr`` shows the public half only."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        """Wrap a key that was read or generated elsewhere."""
        self._private_key = private_key

    @classmethod
    def from_private_bytes(cls, seed: bytes) -> SigningIdentity:
        """The identity of a 32-byte RFC 8032 private key."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public_bytes(self) -> bytes:
        """The 32-byte public key that stands in the study's roster."""
        return self._private_key.public_key().public_bytes_raw()

    def sign(self, label: str, *fields: object) -> bytes:
        """The signature (64 bytes) of the canonical form of ``label`` and ``fields``."""
        return self._private_key.sign(canonical.encode([label, *fields]))

    def __repr__(self) -> str:
        return f"SigningIdentity(public={self.public_bytes.hex()})"


def verify(signer: str, public_key: bytes, signature: bytes, label: str, *fields: object) -> None:
    """Raise PeerError unless ``signature`` is by ``public_key`` over the canonical form of the fields."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, canonical.encode([label, *fields]))
    except (InvalidSignature, ValueError) as error:
        raise PeerError(
            f"the signature of site {signer!r} is not by the key that the study's roster gives it; "
            "check that the site joined with its own keys"
        ) from error
