"""X25519 keys of one site, of a session or of one sum, and the secrets it shares with other sites (RFC 7748)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum import labels
from fedglmm_secure.securesum.seed import Seed


class MaskKey:
    """A private key that lives as long as its session. Its ``repr`` hides it."""

    def __init__(self, private_bytes: bytes) -> None:
        """Take 32 secret bytes."""
        self._private_bytes = private_bytes
        self._private_key = X25519PrivateKey.from_private_bytes(private_bytes)

    @classmethod
    def of_session(cls, seed: Seed) -> MaskKey:
        """The key whose public half is in the site's Hello."""
        return cls(seed.derive(labels.SEED_SESSION_KEY))

    @property
    def private_bytes(self) -> bytes:
        """The secret, to be shared among the sites and with nobody else."""
        return self._private_bytes

    @property
    def public_bytes(self) -> bytes:
        """The 32 bytes that others get."""
        return self._private_key.public_key().public_bytes_raw()

    def shared_secret(self, peer: str, public_bytes: bytes) -> bytes:
        """The 32 bytes shared with ``peer``; PeerError when its key is one of the few that give no secret."""
        try:
            return self._private_key.exchange(X25519PublicKey.from_public_bytes(public_bytes))
        except ValueError as error:  # (rule 15)
            raise PeerError(f"the mask key of site {peer!r} is of low order and gives no secret") from error

    def __repr__(self) -> str:
        return "MaskKey(<private>)"
