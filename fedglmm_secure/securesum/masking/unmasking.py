"""The coordinator's side of masking that survives lost sites: check each message, and take the masks off the sum."""

from __future__ import annotations

from typing import cast

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum import identity, labels
from fedglmm_secure.securesum.masking.batch import check_advertisement
from fedglmm_secure.securesum.masking.keys import MaskKey
from fedglmm_secure.securesum.masking.masks import pair_mask, self_mask
from fedglmm_secure.securesum.masking.shamir import combine
from fedglmm_secure.securesum.masking.tolerant import agreed, commitment
from fedglmm_secure.securesum.messages import (
    BATCH,
    Advertisement,
    Agreement,
    Contribution,
    KeyShares,
    Phase,
    SumReply,
    Unmasking,
)
from fedglmm_secure.securesum.protection import Collected, add_all, check_sealed, check_vector


def check(collected: Collected, message: SumReply) -> None:
    """Raise PeerError for a message that cannot be opened later, so that its sender is known."""
    match message:
        case Advertisement():
            check_advertisement(collected.terms, message)
        case KeyShares():
            check_sealed(message, collected.expected[Phase.SHARE])
        case Contribution():
            check_vector(collected, message)
            if not message.commitment:
                raise PeerError(f"site {message.site!r} masks without a self-mask; use the same version everywhere")
            check_sealed(message, collected.expected[Phase.CONTRIBUTE])
        case Agreement():
            _check_agreement(collected, message)
        case Unmasking():
            if len(message.shares) != len(_members(collected)):
                raise PeerError(f"site {message.site!r} released shares of other sites than those taking part")
        case _:
            raise PeerError(f"site {message.site!r} sent a message of another protocol; use the same study everywhere")


def total(collected: Collected) -> Ring:
    """The sum over the survivors: without their own masks, and without their masks toward the lost sites.

    Raises PeerError when the shares open no seed or no key that was committed to.
    """
    result = add_all(collected)
    for site in _commitments(collected):
        result = ring.subtract(result, _own_mask(collected, site))
    for lost in sorted(set(_members(collected)) - set(_commitments(collected))):
        result = ring.subtract(result, _pair_masks(collected, lost))
    return result


def _own_mask(collected: Collected, site: str) -> Ring:
    seed = _opened(collected, site)
    if commitment(seed, collected.context, site) != _commitments(collected)[site]:
        raise PeerError(f"the shares of site {site!r}'s self-mask do not open its commitment; start the session again")
    return self_mask(seed, collected.session.id, collected.context, site, collected.request.length)


def _pair_masks(collected: Collected, lost: str) -> Ring:
    """The masks that the survivors share with a lost site, each with the sign that the survivor gave it."""
    request, session = collected.request, collected.session
    place = (request.number - 1) % BATCH
    key = MaskKey(_opened(collected, lost))
    if key.public_bytes != _keys(collected, lost).mask_keys[place]:
        raise PeerError(f"the shares of site {lost!r}'s mask key open another key; start the session again")
    masks = ring.zeros(request.length)
    for survivor in _commitments(collected):
        secret = key.shared_secret(survivor, _keys(collected, survivor).mask_keys[place])
        shared = pair_mask(secret, session.id, collected.context, (survivor, lost), request.length)
        masks = ring.add(masks, shared) if survivor < lost else ring.subtract(masks, shared)
    return masks


def _opened(collected: Collected, site: str) -> bytes:
    """The secret of ``site`` whose shares were released."""
    terms, place = collected.terms, _members(collected).index(site)
    released = cast("dict[str, Unmasking]", collected.of(Phase.UNMASK))
    shares = {terms.index_of(name): message.shares[place] for name, message in released.items()}
    return combine(shares, terms.threshold)


def _check_agreement(collected: Collected, message: Agreement) -> None:
    commitments = _commitments(collected)
    if message.survivors != tuple(commitments):
        raise PeerError(f"site {message.site!r} agreed to other survivors than those of this sum")
    fields = agreed(collected.context, _members(collected), commitments)
    identity.verify(message.site, collected.terms.keys[message.site], message.signature, labels.AGREE, *fields)


def _members(collected: Collected) -> tuple[str, ...]:
    """Who masked toward each other: all who were asked for a vector."""
    return collected.expected[Phase.CONTRIBUTE]


def _commitments(collected: Collected) -> dict[str, bytes]:
    """Each survivor's commitment, by name in order."""
    sent = cast("dict[str, Contribution]", collected.of(Phase.CONTRIBUTE))
    return {name: sent[name].commitment for name in sorted(sent)}


def _keys(collected: Collected, site: str) -> Advertisement:
    return cast("Advertisement", collected.keys[site])
