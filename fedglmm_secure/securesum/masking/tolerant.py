"""Masking that survives lost sites (Bonawitz et al. 2017, section 4.2, with the consistency check of section 6.2).

A site adds the masks that it shares with every other site, and one of its own besides. The seed of its own mask is
shared among all as its vector leaves; the key of its pairwise masks was shared ahead (``batch``). When the vectors of
the survivors are in, all sign the same list of survivors, and only then release, for each survivor, a share of its own
mask's seed, and for each lost site a share of its pair key. Never both of one site: a vector that arrives late stays
hidden behind its own mask.
"""

from __future__ import annotations

from fedglmm_secure import canonical, ring
from fedglmm_secure.errors import PeerError
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum import identity, labels
from fedglmm_secure.securesum.masking.batch import Batch
from fedglmm_secure.securesum.masking.complete import add_pair_masks
from fedglmm_secure.securesum.masking.masks import self_mask
from fedglmm_secure.securesum.messages import (
    Advertisement,
    Agreement,
    Contribution,
    Parcel,
    Part,
    Phase,
    SumReply,
    Unmasking,
)
from fedglmm_secure.securesum.protection import SiteMaterial, SumView, all_of
from fedglmm_secure.securesum.states import KEY_PHASES, phases_of


class TolerantMasking:
    """One site's side in one session. Its ``repr`` hides its keys."""

    def __init__(self, material: SiteMaterial) -> None:
        """The keys of the first batch are made with the first sum."""
        self._material = material
        self._batch = Batch(material, 1)

    def start(self, view: SumView) -> TolerantSum:
        """Begin a sum, and with the first of a batch its keys."""
        number = view.request.number
        if KEY_PHASES[0] in phases_of(view.terms.scheme, number):
            self._batch = Batch(self._material, number)
        return TolerantSum(view, self._material, self._batch)

    def work_ahead(self) -> None:
        """Nothing to prepare."""

    def __repr__(self) -> str:
        return "TolerantMasking(<private>)"


class TolerantSum:
    """One site's side of one sum."""

    def __init__(self, view: SumView, material: SiteMaterial, batch: Batch) -> None:
        """``batch`` holds the keys of this sum, or will after its first two phases."""
        self._view, self._material, self._batch = view, material, batch
        self._members = view.request.participants
        self._commitments: dict[str, bytes] = {}
        self._self_shares: dict[str, bytes] = {}

    def absorb(self, phase: Phase, parts: tuple[Part, ...]) -> None:
        """Keys, sealed shares, the survivors' parcels, or their signatures; PeerError when one is not in order."""
        match phase:
            case Phase.ADVERTISE:
                self._batch.take_keys(all_of(Advertisement, parts))
            case Phase.SHARE:
                self._batch.take_shares(all_of(Parcel, parts))
            case Phase.CONTRIBUTE:
                self._take_survivors(all_of(Parcel, parts))
            case _:
                for agreement in all_of(Agreement, parts):
                    self._check_agreement(agreement)
        if phase in KEY_PHASES:
            self._members = tuple(part.site for part in parts)

    def make(self, phase: Phase) -> SumReply:
        """The message of every phase but the one that holds the answer."""
        match phase:
            case Phase.ADVERTISE:  # M1
                return self._batch.advertise()
            case Phase.SHARE:  # M2
                return self._batch.share()
            case Phase.AGREE:  # M4
                signature = self._material.signing.sign(labels.AGREE, *self._agreed())
                return Agreement(*self._view.head, tuple(self._commitments), signature)
            case _:  # M5
                return Unmasking(*self._view.head, tuple(map(self._release, self._members)))

    def seal(self, encoded: Ring) -> tuple[SumReply, ...]:
        """The vector behind both kinds of masks, the commitment to its own mask's seed, and that seed's shares (M3)."""
        view, number = self._view, self._view.request.number
        seed = self._own_seed()
        peers = [peer for peer in self._members if peer != view.site]
        secrets = {peer: self._batch.mask_secret(number, peer) for peer in peers}
        masked = ring.add(
            add_pair_masks(encoded, view, secrets),
            self_mask(seed, view.session.id, view.context, view.site, len(encoded)),
        )
        shares = self._own_shares()
        sealed = tuple(
            self._batch.seal(shares[peer], labels.SELF_SHARE, number, peer, view.context) for peer in self._members
        )
        return (Contribution(*view.head, ring.to_bytes(masked), commitment(seed, view.context, view.site), sealed),)

    def restore(self, made: tuple[SumReply, ...]) -> None:
        """Nothing to take back: all follows from the session's seed."""

    def _own_seed(self) -> bytes:
        return self._material.seed.derive(labels.SEED_SELF_MASK, self._view.context)

    def _own_shares(self) -> dict[str, bytes]:
        return self._batch.split(self._own_seed(), self._members, "self mask", self._view.context)

    def _take_survivors(self, parcels: tuple[Parcel, ...]) -> None:
        number, own, context = self._view.request.number, self._view.site, self._view.context
        commitments = {parcel.site: parcel.commitment for parcel in parcels}
        if not all(commitments.values()):  # (rule 41); that its own is unchanged is rule 37
            raise PeerError("the coordinator changed a commitment to a self-mask; do not trust this coordinator")
        shares = {
            parcel.site: self._batch.unseal(parcel.sealed, labels.SELF_SHARE, number, parcel.site, context)
            for parcel in parcels
            if parcel.site != own
        }
        self._self_shares = {**shares, own: self._own_shares()[own]}
        self._commitments = commitments

    def _agreed(self) -> tuple[object, ...]:
        """What all must agree on before a share is released."""
        return agreed(self._view.context, self._members, self._commitments)

    def _check_agreement(self, agreement: Agreement) -> None:
        """The same survivors, signed by the site's roster key over the same sum, members and commitments."""
        if agreement.survivors != tuple(self._commitments):  # (rule 42)
            raise PeerError(
                f"the coordinator told site {agreement.site!r} other survivors than this site; no share is released"
            )
        key = self._view.terms.keys[agreement.site]
        identity.verify(agreement.site, key, agreement.signature, labels.AGREE, *self._agreed())

    def _release(self, member: str) -> bytes:
        """The one share of a member that may be known: its own mask's if it survived, else its pair key's (rule 43)."""
        if member in self._commitments:
            return self._self_shares[member]
        return self._batch.key_share(self._view.request.number, member)

    def __repr__(self) -> str:
        return "TolerantSum(<private>)"


def commitment(seed: bytes, context: bytes, site: str) -> bytes:
    """What binds a site to the seed of its own mask."""
    return canonical.digest(labels.SELF_COMMITMENT, context, site, seed)


def agreed(context: bytes, members: tuple[str, ...], commitments: dict[str, bytes]) -> tuple[object, ...]:
    """The fields that an Agreement signs: the sum, who masked, and each survivor's commitment."""
    return context, members, [[site, digest] for site, digest in commitments.items()]
