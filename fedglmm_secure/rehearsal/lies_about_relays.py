"""A coordinator that lies to one site about what the others sent: one class a lie."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, cast

from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.rehearsal.liars import (
    PAILLIER,
    PHASED,
    TOLERANT,
    LyingCoordinator,
    Situation,
    number_of,
    with_field_flipped,
)
from fedglmm_secure.securesum import Phase, Relay
from fedglmm_secure.securesum.messages import Agreement, Opening, Parcel, Part
from fedglmm_secure.securesum.states import CLOSING
from fedglmm_secure.wire.messages import CoordinatorMessage, Next


class _AboutARelay(LyingCoordinator):
    """Changes what is relayed after a phase."""

    schemes = PHASED
    phases: ClassVar[frozenset[Phase]] = frozenset(Phase)

    def __init__(self, situation: Situation) -> None:
        """Keys come with the first sum alone."""
        super().__init__(situation)
        self.number = 1 if self.phases <= {Phase.ADVERTISE, Phase.SHARE} else self.number

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        if not isinstance(honest, Relay) or honest.phase not in self.phases:
            return None
        parts = self._changed(honest)
        return replace(honest, parts=tuple(parts)) if parts else None

    @abstractmethod
    def _changed(self, honest: Relay) -> Sequence[Part]:
        """Other parts; none when this is not the moment."""

    def with_another(self, honest: Relay, change: Callable[[Part], object]) -> Sequence[Part]:
        """The parts, one of which is changed that is not the victim's."""
        index = self.dice.choice([i for i, part in enumerate(honest.parts) if part.site != self.victim])
        changed = cast("Part", change(honest.parts[index]))
        return (*honest.parts[:index], changed, *honest.parts[index + 1 :])


class HidesOnesOwnWord(_AboutARelay):
    """Relays a phase without the victim's own message."""

    stops = (PeerError, RefusalError)

    def _changed(self, honest: Relay) -> Sequence[Part]:
        return [part for part in honest.parts if part.site != self.victim]


class HidesAnothersWord(_AboutARelay):
    """Tells the victim alone that another site was lost: two survivor sets, or two products."""

    stops = (RefusalError, PeerError)
    phases = frozenset(Phase) - CLOSING

    def _changed(self, honest: Relay) -> Sequence[Part]:
        left = self.another()
        return [part for part in honest.parts if part.site != left]


class OpensOneAlone(_AboutARelay):
    """Relays the victim's ciphertexts as if it were the only site: what would be opened is its contribution."""

    schemes = frozenset({PAILLIER})
    stops = (RefusalError,)
    phases = frozenset({Phase.OPEN, Phase.COMMIT})

    def _changed(self, honest: Relay) -> Sequence[Part]:
        return [part for part in honest.parts if part.site == self.victim]


class AgreesWithTooFew(_AboutARelay):
    """Relays fewer signatures under the list of survivors than must agree before a share may be released."""

    schemes = frozenset({TOLERANT})
    phases = frozenset({Phase.AGREE})

    def _changed(self, honest: Relay) -> Sequence[Part]:
        others = [part for part in honest.parts if part.site != self.victim]
        return sorted(
            [*(part for part in honest.parts if part.site == self.victim), *others[: self.terms.threshold - 2]],
            key=lambda part: part.site,
        )


class ChangesAWord(_AboutARelay):
    """Turns one bit of what another site sent: a key, a sealed share, a commitment, a signature or a ciphertext."""

    harmless = True  # a sealed share of a mask key is opened only if its owner is lost

    def _changed(self, honest: Relay) -> Sequence[Part]:
        def change(part: Part) -> object:
            fields: Mapping[str, bytes | tuple[bytes, ...]] = {
                name: value
                for name, value in vars(part).items()
                if name not in ("session_id", "site", "number", "survivors") and value
            }
            return with_field_flipped(part, self.dice.choice(sorted(fields)), self.dice) if fields else part

        return self.with_another(honest, change)


class ChangesASignedWord(ChangesAWord):
    """The same, where it must be found: everything but the sealed shares of mask keys."""

    harmless = False
    phases = frozenset(Phase) - {Phase.SHARE}


class ChangesACommitment(_AboutARelay):
    """Tells the victim another commitment to a self-mask than the rest: they sign what they were told."""

    schemes = frozenset({TOLERANT})
    phases = frozenset({Phase.CONTRIBUTE})

    def _changed(self, honest: Relay) -> Sequence[Part]:
        return self.with_another(honest, lambda part: with_field_flipped(part, "commitment", self.dice))


class SwapsParcels(_AboutARelay):
    """Gives the victim one site's sealed share as another's."""

    schemes = frozenset({TOLERANT})
    phases = frozenset({Phase.CONTRIBUTE})

    def _changed(self, honest: Relay) -> Sequence[Part]:
        others = [i for i, part in enumerate(honest.parts) if part.site != self.victim]
        if len(others) < 2:
            return ()
        parts: list[Part] = list(honest.parts)
        one, two = parts[others[0]], parts[others[1]]
        if isinstance(one, Parcel) and isinstance(two, Parcel):
            parts[others[0]], parts[others[1]] = replace(one, sealed=two.sealed), replace(two, sealed=one.sealed)
        return parts


class CopiesCiphertexts(_AboutARelay):
    """Relays the victim's ciphertexts under another site's name, to learn a multiple of them."""

    schemes = frozenset({PAILLIER})
    phases = frozenset({Phase.OPEN})

    def _changed(self, honest: Relay) -> Sequence[Part]:
        own = next(part for part in honest.parts if part.site == self.victim)
        return self.with_another(
            honest, lambda part: replace(own, site=part.site) if isinstance(own, Opening) else part
        )


class InventsASurvivor(_AboutARelay):
    """Relays the word of a site that does not exist."""

    stops = (RefusalError, PeerError)

    def _changed(self, honest: Relay) -> Sequence[Part]:
        return (*honest.parts, replace(honest.parts[-1], site="zz invented"))


class RelaysAnotherSum(LyingCoordinator):
    """Relays what was said in an earlier sum."""

    schemes = PHASED
    earliest = 2

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        if not isinstance(honest, Relay):
            return None
        earlier = [said for said in self.told_before() if isinstance(said, Relay) and said.number < honest.number]
        return self.dice.choice(earlier) if earlier else None


class RelaysAnotherPhase(LyingCoordinator):
    """Says that what was sent in one phase was sent in another."""

    schemes = PHASED

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        if not isinstance(honest, Relay):
            return None
        return replace(honest, phase=self.dice.choice([phase for phase in Phase if phase is not honest.phase]))


class AsksForBothShares(LyingCoordinator):
    """Relays a second, shorter list of survivors after the first, for the other share of the site left out."""

    schemes = frozenset({TOLERANT})
    earliest = 2

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        lists = [said for said in self.told_before() if isinstance(said, Relay) and said.phase is Phase.CONTRIBUTE]
        over = number_of(honest) - isinstance(honest, Next)  # before this site released its shares, or after
        if not lists or lists[-1].number != over or (isinstance(honest, Relay) and honest.phase is not Phase.AGREE):
            return None
        left = self.another()
        return replace(lists[-1], parts=tuple(part for part in lists[-1].parts if part.site != left))


class ForgesASurvivorList(_AboutARelay):
    """Changes whom another site signed for."""

    schemes = frozenset({TOLERANT})
    phases = frozenset({Phase.AGREE})

    def _changed(self, honest: Relay) -> Sequence[Part]:
        def change(part: Part) -> object:
            if not isinstance(part, Agreement):
                return part
            left = self.another()
            return replace(part, survivors=tuple(name for name in part.survivors if name != left))

        return self.with_another(honest, change)
