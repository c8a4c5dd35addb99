"""The keys of a batch of sums: advertised and shared ahead, so that no sum waits for them.

Each sum has two fresh X25519 keys a site: one wraps shares, the other seeds the pairwise masks. The second is shared
among all sites before anything is masked with it, so that the masks of a site that is lost can be taken off.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum import identity, labels
from fedglmm_secure.securesum.masking import wrapping
from fedglmm_secure.securesum.masking.keys import MaskKey
from fedglmm_secure.securesum.masking.masks import keystream
from fedglmm_secure.securesum.masking.shamir import COEFFICIENT_BYTES, split
from fedglmm_secure.securesum.messages import BATCH, SEALED_BYTES, Advertisement, KeyShares, Parcel
from fedglmm_secure.securesum.protection import SiteMaterial
from fedglmm_secure.securesum.session import Terms


class Batch:
    """One site's keys of the sums ``first`` to ``first + BATCH - 1``, and what it has of the others'."""

    def __init__(self, material: SiteMaterial, first: int) -> None:
        """Nothing is known of the others yet."""
        self.first = first
        self._own = material
        self._advertised: Mapping[str, Advertisement] = {}
        self._sealed: Mapping[str, bytes] = {}
        self._wrap_keys: dict[int, MaskKey] = {}

    def advertise(self) -> Advertisement:
        """The public keys, signed (M1)."""
        numbers = range(self.first, self.first + BATCH)
        wrap_keys = tuple(self._wrap_key(number).public_bytes for number in numbers)
        mask_keys = tuple(self.mask_key(number).public_bytes for number in numbers)
        session_id = self._own.session.id
        signature = self._own.signing.sign(
            labels.ADVERTISE, session_id, self.first, self._own.name, wrap_keys, mask_keys
        )
        return Advertisement(session_id, self.first, self._own.name, wrap_keys, mask_keys, signature)

    def take_keys(self, advertised: tuple[Advertisement, ...]) -> None:
        """Keep the others' keys; PeerError for a wrong signature, and for a key that comes twice."""
        for message in advertised:  # (rule 40)
            check_advertisement(self._own.terms, message)
        every = [key for message in advertised for key in (*message.wrap_keys, *message.mask_keys)]
        if len(set(every)) != len(every):  # (rule 40)
            raise PeerError("two sites, or two sums, have the same key in a batch; start the session again")
        self._advertised = {message.site: message for message in advertised}

    def share(self) -> KeyShares:
        """Each sum's mask key, split among all who advertised and sealed for each (M2)."""
        by_sum = [self._shares_of(number) for number in range(self.first, self.first + BATCH)]
        by_member = tuple(b"".join(shares) for shares in zip(*by_sum, strict=True))
        return KeyShares(self._own.session.id, self.first, self._own.name, by_member)

    def take_shares(self, parcels: tuple[Parcel, ...]) -> None:
        """Keep what the others sealed for this site; PeerError for another size."""
        for parcel in parcels:
            if len(parcel.sealed) != (0 if parcel.site == self._own.name else BATCH * SEALED_BYTES):
                raise PeerError(f"site {parcel.site!r} sealed its shares for another batch; start the session again")
        self._sealed = {parcel.site: parcel.sealed for parcel in parcels}

    def mask_key(self, number: int) -> MaskKey:
        """The site's own key of the pairwise masks of sum ``number``."""
        return MaskKey(self._own.seed.derive(labels.SEED_MASK_KEY, self._own.session.id, number))

    def mask_secret(self, number: int, peer: str) -> bytes:
        """The secret from which the mask with ``peer`` in sum ``number`` is derived."""
        return self.mask_key(number).shared_secret(peer, self._advertised[peer].mask_keys[number - self.first])

    def key_share(self, number: int, peer: str) -> bytes:
        """This site's share of ``peer``'s mask key of sum ``number``; PeerError when it was tampered with."""
        place = (number - self.first) * SEALED_BYTES
        sealed = self._sealed[peer][place : place + SEALED_BYTES]
        return self.unseal(sealed, labels.MASK_KEY_SHARE, number, peer)

    def seal(self, share: bytes, label: str, number: int, peer: str, *bound: bytes) -> bytes:
        """A share sealed for ``peer``, empty for this site itself; what it depends on besides the sum is ``bound``."""
        own = self._own.name
        if peer == own:
            return b""
        secret = self._wrap_secret(number, peer)
        return wrapping.seal(share, secret, self._own.session.id, label, (number, own, peer, *bound))

    def unseal(self, sealed: bytes, label: str, number: int, peer: str, *bound: bytes) -> bytes:
        """A share that ``peer`` sealed for this site."""
        secret = self._wrap_secret(number, peer)
        return wrapping.unseal(sealed, secret, self._own.session.id, label, (number, peer, self._own.name, *bound))

    def split(self, secret: bytes, members: tuple[str, ...], *purpose: object) -> dict[str, bytes]:
        """The share of each member; the polynomial comes from the session's seed and ``purpose``."""
        terms = self._own.terms
        key = self._own.seed.derive(labels.SEED_POLYNOMIAL, self._own.session.id, *purpose)
        coefficients = keystream(key, COEFFICIENT_BYTES * (terms.threshold - 1)).tobytes()
        indices = {terms.index_of(name): name for name in members}
        return {indices[i]: share for i, share in split(secret, terms.threshold, indices, coefficients).items()}

    def _shares_of(self, number: int) -> tuple[bytes, ...]:
        """One sum's shares, sealed, in the order of the members."""
        members = tuple(self._advertised)
        shares = self.split(self.mask_key(number).private_bytes, members, "mask key", number)
        return tuple(self.seal(shares[peer], labels.MASK_KEY_SHARE, number, peer) for peer in members)

    def _wrap_key(self, number: int) -> MaskKey:
        if number not in self._wrap_keys:
            secret = self._own.seed.derive(labels.SEED_WRAP_KEY, self._own.session.id, number)
            self._wrap_keys[number] = MaskKey(secret)
        return self._wrap_keys[number]

    def _wrap_secret(self, number: int, peer: str) -> bytes:
        public = self._advertised[peer].wrap_keys[number - self.first]
        return self._wrap_key(number).shared_secret(peer, public)

    def __repr__(self) -> str:
        return f"Batch(from sum {self.first})"


def check_advertisement(terms: Terms, message: Advertisement) -> None:
    """Raise PeerError unless the keys are signed by the site's roster key for this session and batch."""
    identity.verify(
        message.site, terms.keys[message.site], message.signature,
        labels.ADVERTISE, message.session_id, message.number, message.site, message.wrap_keys, message.mask_keys,
    )  # fmt: skip
