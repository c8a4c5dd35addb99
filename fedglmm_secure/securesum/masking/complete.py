"""All-or-nothing pairwise masking (Bonawitz et al. 2017, section 4.1, without the self-mask).

Site i adds the mask that it shares with j for every j after it in the roster, and subtracts it for every j
before it. In the sum over the whole roster every mask appears once with each sign. While one site is missing,
the rest is uniformly random: nothing can be opened.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum.masking.keys import MaskKey
from fedglmm_secure.securesum.masking.masks import pair_mask
from fedglmm_secure.securesum.messages import Contribution, Part, Phase, SumReply
from fedglmm_secure.securesum.protection import SiteMaterial, SumView


class Masking:
    """One site's masks in one session. Its ``repr`` hides its keys."""

    def __init__(self, material: SiteMaterial) -> None:
        """Derive the secret shared with every other site; PeerError for a key that gives none."""
        key = MaskKey.of_session(material.seed)
        self._secrets = {
            peer: key.shared_secret(peer, public)
            for peer, public in material.session.mask_keys.items()
            if peer != material.name
        }

    def start(self, view: SumView) -> MaskedSum:
        """Begin a sum."""
        return MaskedSum(view, self._secrets)

    def work_ahead(self) -> None:
        """Nothing to prepare."""

    def __repr__(self) -> str:
        return "Masking(<private>)"


class MaskedSum:
    """One site's masks in one sum: one message, and nothing to open."""

    def __init__(self, view: SumView, secrets: Mapping[str, bytes]) -> None:
        """``secrets`` are those shared with each other site."""
        self._view, self._secrets = view, secrets

    def seal(self, encoded: Ring) -> tuple[SumReply, ...]:
        """The masked vector."""
        masked = add_pair_masks(encoded, self._view, self._secrets)
        return (Contribution(*self._view.head, ring.to_bytes(masked)),)

    def restore(self, made: tuple[SumReply, ...]) -> None:
        """Nothing to take back."""

    def absorb(self, phase: Phase, parts: tuple[Part, ...]) -> None:
        """Nothing is relayed in such a sum."""
        raise PeerError("nothing is relayed in a sum without dropouts; do not trust this coordinator")

    def make(self, phase: Phase) -> SumReply:
        """There is no other message."""
        raise PeerError(f"a sum without dropouts has no phase {phase.value!r}; do not trust this coordinator")

    def __repr__(self) -> str:
        return "MaskedSum(<private>)"


def add_pair_masks(encoded: Ring, view: SumView, secrets: Mapping[str, bytes]) -> Ring:
    """``encoded`` with the mask of each peer added, or subtracted for the peers before this site."""
    total = encoded
    for peer, secret in secrets.items():
        shared = pair_mask(secret, view.session.id, view.context, (view.site, peer), len(encoded))
        total = ring.add(total, shared) if view.site < peer else ring.subtract(total, shared)
    return total
