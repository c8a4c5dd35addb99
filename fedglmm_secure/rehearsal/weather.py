"""How bad a network is: what it does to messages and sites, how often, and the seed from which all of it follows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from fedglmm_secure.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Weather:
    """The chance of each disturbance: of a message, of a copy of it, or of a site that hears an answer.

    All but the last are in the power of whoever holds a cable or a power switch, TLS or not; they may cost time, and
    nothing else. Raises InputError for a chance that is none.
    """

    seed: int
    lost_requests: float = 0.06
    """What a site sent does not arrive; it sends the same again."""
    lost_answers: float = 0.06
    """The coordinator took a message, and its sender does not hear so."""
    damaged: float = 0.03
    """Bytes are changed or cut off. TLS turns that away, so it is as if lost; the parser sees it all the same."""
    delayed: float = 0.08
    """A message arrives late, perhaps after later ones."""
    duplicated: float = 0.05
    """A message arrives twice."""
    replayed: float = 0.05
    """Something that any site sent before arrives at the coordinator once more."""
    crashes: float = 0.03
    """A site is killed: before, between or after its writes to the journal, or after it sent."""
    absences: float = 0.2
    """Of the crashes: the site stays away for longer than the coordinator waits before it goes on where it can."""
    gone: float = 0.0
    """Of the crashes: the site does not come back."""
    stale: float = 0.0
    """An earlier answer of the coordinator comes instead of the present one. Under TLS only the coordinator can."""
    disturbances: int = 150
    """After so many the weather is calm: what goes on then must come to an end."""

    def __post_init__(self) -> None:
        """Check the chances."""
        for chance in fields(self):
            value = getattr(self, chance.name)
            if isinstance(value, float) and not 0.0 <= value <= 1.0:
                raise InputError(f"{chance.name} = {value:g} is not a chance; give weather chances from 0 to 1")
        if self.seed < 0 or self.disturbances < 0:
            raise InputError("the seed and the number of disturbances of a weather are whole numbers from 0")


CALM = Weather(seed=0, disturbances=0)

_WORDS: Mapping[str, tuple[str, str]] = {
    "lost_requests": ("message lost", "messages lost"),
    "lost_answers": ("answer lost", "answers lost"),
    "damaged": ("message damaged", "messages damaged"),
    "delayed": ("message late", "messages late"),
    "duplicated": ("message doubled", "messages doubled"),
    "replayed": ("old message again", "old messages again"),
    "crashes": ("site killed and started again", "sites killed and started again"),
    "absences": ("long absence", "long absences"),
    "gone": ("site gone for good", "sites gone for good"),
    "stale": ("old answer again", "old answers again"),
}


class Dice:
    """Every decision of a hostile network, in order, from one seed."""

    def __init__(self, weather: Weather) -> None:
        """Nothing has happened yet."""
        self._weather, self._random = weather, random.Random(weather.seed)  # noqa: S311  no secret: it must repeat
        self.happened: Counter[str] = Counter()

    def strikes(self, kind: str) -> bool:
        """Whether a disturbance happens now; it is counted."""
        if self.happened.total() >= self._weather.disturbances:
            return False
        happens: bool = self._random.random() < getattr(self._weather, kind)
        self.happened[kind] += happens
        return happens

    def number(self, least: int, most: int) -> int:
        """A whole number of ``least`` .. ``most``."""
        return self._random.randint(least, most)

    def one_of(self, things: Sequence[T]) -> T:
        """One of them."""
        return self._random.choice(things)

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """All of them in some order."""
        return self._random.sample(things, len(things))

    def damage(self, data: bytes) -> bytes:
        """``data`` with some bits turned, or cut off."""
        return damaged(data, self._random)

    def summary(self) -> str:
        """What happened, in words."""
        counts = [(self.happened[kind], words) for kind, words in _WORDS.items() if self.happened[kind]]
        return ", ".join(f"{count} {words[count > 1]}" for count, words in counts) or "nothing happened"


def damaged(data: bytes, draw: random.Random) -> bytes:
    """``data`` with one to eight bits turned, or cut off somewhere."""
    if not data or draw.random() < 0.3:
        return data[: draw.randrange(len(data))] if data else b"\xff"
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)
