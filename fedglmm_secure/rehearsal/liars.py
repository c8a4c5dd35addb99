"""What the lies of coordinators and sites have in common: when one is told, and how such a run must end.

A liar is honest but for one kind of lie, which it tells when its time comes, and again when it is asked the same
again. It changes what an honest party would have said, with the keys that a dishonest one would have.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from fedglmm_secure.errors import FedglmmError, PeerError
from fedglmm_secure.rehearsal.hostile import Said
from fedglmm_secure.securesum import Hello, Relay, SigningIdentity, Terms
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.messages import CoordinatorMessage, Next, SiteMessage

MASKING, TOLERANT, PAILLIER, PLAIN = "masking", "masking with dropouts", "paillier", "plain"
PROTECTED = frozenset({MASKING, TOLERANT, PAILLIER})
PHASED = frozenset({TOLERANT, PAILLIER})
EVERY = PROTECTED | {PLAIN}


@dataclass(frozen=True)
class Situation:
    """What a liar knows besides what it hears: the study's terms, its own key, and its dice."""

    terms: Terms
    dice: random.Random
    signing: SigningIdentity
    """Of the lying site; of a stranger, for a coordinator."""
    old_hellos: Callable[[], Sequence[Hello]] = tuple
    """Those of an earlier session."""


class Lie:
    """One kind of lie: where it can be told, and how a run must end in which it was."""

    schemes: ClassVar[frozenset[str]] = PROTECTED
    """The protocols in which there is such a lie, as ``Terms.scheme`` names them."""
    stops: ClassVar[tuple[type[FedglmmError], ...]] = (PeerError,)
    """What somebody says in the end."""
    harmless: ClassVar[bool] = False
    """Whether the run may as well end in the exact answer, because nobody relied on what was false."""

    def __init__(self, situation: Situation) -> None:
        """Nothing was said yet."""
        self.terms, self.dice, self.signing = situation.terms, situation.dice, situation.signing
        self.old_hellos = situation.old_hellos
        self.told = False

    @classmethod
    def fits(cls, terms: Terms) -> bool:
        """Whether the lie can be told under these terms."""
        return terms.scheme in cls.schemes


def flipped(data: bytes, dice: random.Random) -> bytes:
    """``data`` with one bit turned."""
    place = dice.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << dice.randrange(8))]) + data[place + 1 :]


def with_field_flipped(message: object, field: str, dice: random.Random) -> object:
    """``message`` with one bit of a field of bytes turned, or of one of its entries that is not empty."""
    value = getattr(message, field)
    if isinstance(value, bytes):
        return replace(message, **{field: flipped(value, dice)})  # type: ignore[type-var]
    index = dice.choice([i for i, entry in enumerate(value) if entry])
    changed = (*value[:index], flipped(value[index], dice), *value[index + 1 :])
    return replace(message, **{field: changed})  # type: ignore[type-var]


class LyingCoordinator(Lie, ABC):
    """Tells one site something else, from some sum on, where the kind of lie has its place."""

    earliest: ClassVar[int] = 1
    """The first sum in which there is something to lie about."""

    def __init__(self, situation: Situation) -> None:
        """Choose whom to lie to, and when."""
        super().__init__(situation)
        self.victim = self.dice.choice(situation.terms.names)
        self.number = self.dice.randint(self.earliest, max(4, self.earliest))
        self.heard: list[tuple[str, CoordinatorMessage]] = []
        """What was honestly said, and to whom."""
        self._lies: dict[bytes, Said] = {}

    def says(self, site: str, asked: SiteMessage, honest: CoordinatorMessage | None) -> Said | None:
        """The lie to the victim, once its time has come; what is honest to everybody else."""
        if honest is None:
            return None
        if site == self.victim and isinstance(honest, Next | Relay):
            key = codec.encode_coordinator(honest)
            if not self.told and number_of(honest) >= self.number:
                lie = self._lie(honest)
                if lie is not None and lie != honest:
                    self.told, self._lies[key] = True, lie
            if key in self._lies:
                return self._lies[key]
        self.heard.append((site, honest))
        return honest

    @abstractmethod
    def _lie(self, honest: Next | Relay) -> Said | None:
        """What to say instead; None when this is not the moment."""

    def another(self) -> str:
        """Some other site than the victim."""
        return self.dice.choice([name for name in self.terms.names if name != self.victim])

    def told_before(self) -> list[CoordinatorMessage]:
        """What the victim was honestly told."""
        return [said for site, said in self.heard if site == self.victim]


def number_of(message: Next | Relay) -> int:
    """The sum that a question or a relay belongs to."""
    return message.request.number if isinstance(message, Next) else message.number
