"""What the lies of coordinators and sites have in common: when one is told, and how such a run must end.

A liar is honest but for one kind of lie, which it tells when its time comes, and again when it is asked the same
again. It changes what an honest party would have said, with the keys that a dishonest one would have.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

from fedglmm_secure.errors import FedglmmError, PeerError
from fedglmm_secure.securesum import SigningIdentity, Terms

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
