"""All-or-nothing pairwise masking (Bonawitz et al. 2017, section 4.1, without the self-mask).

Site i adds the mask that it shares with j for every j after it in the roster, and subtracts it for every j
before it. In the sum over the whole roster every mask appears once with each sign. While one site is missing,
the rest is uniformly random: nothing can be opened.
"""

from __future__ import annotations

from fedglmm_secure import ring
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum.masking.keys import SessionKey
from fedglmm_secure.securesum.masking.masks import mask
from fedglmm_secure.securesum.session import Session


class Masking:
    """One site's masks in one session. Its ``repr`` hides its keys."""

    def __init__(self, key_bytes: bytes) -> None:
        """Take 32 fresh random bytes for the session's X25519 key."""
        self._key = SessionKey(key_bytes)
        self._secrets: dict[str, bytes] = {}

    @property
    def public_key(self) -> bytes:
        """The X25519 public key, for the Hello."""
        return self._key.public_bytes

    def join(self, session: Session, site: str) -> None:
        """Derive the secret shared with every other site; PeerError for a key that gives none."""
        self._secrets = {
            peer: self._key.shared_secret(peer, key) for peer, key in session.mask_keys.items() if peer != site
        }

    def seal(self, encoded: Ring, session: Session, site: str, context: bytes) -> bytes:
        """The masked vector of ``site``."""
        total = encoded
        for peer, secret in self._secrets.items():
            first, second = min(site, peer), max(site, peer)
            shared = mask(secret, session.id, context, (first, second), len(encoded))
            total = ring.add(total, shared) if site == first else ring.subtract(total, shared)
        return ring.to_bytes(total)

    def __repr__(self) -> str:
        return "Masking(<private>)"
