"""The X25519 key of one site in one session, and the secrets it shares with the other sites (RFC 7748)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedglmm_secure.errors import PeerError


class SessionKey:
    """A private key that lives as long as its session, in memory only. Its ``repr`` hides it."""

    def __init__(self, private_bytes: bytes) -> None:
        """Take 32 fresh random bytes."""
        self._private_key = X25519PrivateKey.from_private_bytes(private_bytes)

    @property
    def public_bytes(self) -> bytes:
        """The 32 bytes that go into the site's Hello."""
        return self._private_key.public_key().public_bytes_raw()

    def shared_secret(self, peer: str, public_bytes: bytes) -> bytes:
        """The 32 bytes shared with ``peer``; PeerError when its key is one of the few that give no secret."""
        try:
            return self._private_key.exchange(X25519PublicKey.from_public_bytes(public_bytes))
        except ValueError as error:
            raise PeerError(f"the mask key of site {peer!r} is of low order and gives no secret") from error

    def __repr__(self) -> str:
        return "SessionKey(<private>)"
