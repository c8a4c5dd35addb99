"""A site that lies: one class a lie. What it says of its own data nobody can check; the rest is found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from fedglmm_secure import ring
from fedglmm_secure.errors import FedglmmError, FitError, LinkError, RefusalError
from fedglmm_secure.model.questions import Question
from fedglmm_secure.rehearsal.liars import (
    EVERY,
    MASKING,
    PAILLIER,
    PHASED,
    PROTECTED,
    TOLERANT,
    Lie,
    Situation,
    with_field_flipped,
)
from fedglmm_secure.rehearsal.network import SiteAtHand
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import Hello, Phase, SumReply
from fedglmm_secure.securesum.messages import (
    Advertisement,
    Agreement,
    Commitment,
    Contribution,
    Decryption,
    KeyShares,
    Unmasking,
)
from fedglmm_secure.securesum.session import sign_hello
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire.messages import Ready, Refusal, SiteMessage

Said = Sequence[SiteMessage | bytes]


class LyingSite(Lie, ABC):
    """Sends what an honest site would, but for one kind of message, from some sum on."""

    names: ClassVar[bool] = True
    """Whether the sentence at the end names the liar: where others can know who it was."""
    about_data: ClassVar[bool] = False
    """Whether it lies about its own data alone: then a false sum cannot be told from a true one."""
    stays_away: ClassVar[bool] = False
    """Whether others see no more of it than of a site that is lost, and go on without it where the study lets them."""

    def __init__(self, situation: Situation) -> None:
        """Choose when."""
        super().__init__(situation)
        self.number = self.dice.randint(1, 3)
        self._lies: dict[tuple[int, Phase], Said] = {}

    def says(self, site: SiteAtHand) -> Said:
        """The message, or the lie in its place: the same one every time."""
        honest = site.message
        if isinstance(honest, Hello | Ready | Refusal):
            return self._of_greeting(site, honest)
        place = (honest.number, honest.phase)
        if place not in self._lies:
            lie = self._lie(honest) if honest.number >= self.number else None
            self.told = self.told or lie is not None
            self._lies[place] = (honest,) if lie is None else lie
        return self._lies[place]

    def rows(self, rows: SiteRows) -> SiteRows:
        """The rows it answers from."""
        return rows

    @abstractmethod
    def _lie(self, honest: SumReply) -> Said | None:
        """What to send instead within a sum; None when this is not the moment."""

    def _of_greeting(self, site: SiteAtHand, honest: Hello | Ready | Refusal) -> Said:
        return (honest,)


def _shifted(honest: Contribution, vector: ring.Ring) -> Contribution:
    """A contribution to which a vector is added."""
    own = ring.from_bytes(honest.vector, len(honest.vector) // ring.ELEMENT_BYTES)
    return replace(honest, vector=ring.to_bytes(ring.add(own, vector)))


# Lies within a sum.


class _OfContributions(LyingSite):
    schemes = frozenset({MASKING, TOLERANT})

    def _lie(self, honest: SumReply) -> Said | None:
        return self._instead_of(honest) if isinstance(honest, Contribution) else None

    @abstractmethod
    def _instead_of(self, honest: Contribution) -> Said:
        """What to say instead."""

    def _length(self, honest: Contribution) -> int:
        return len(honest.vector) // ring.ELEMENT_BYTES


class InventsItsData(_OfContributions):
    """Adds something to its numbers: a lie about its own data, which nobody can see."""

    schemes = EVERY - {PAILLIER}
    about_data = True
    stops = (FedglmmError,)
    harmless = True
    names = False

    def _instead_of(self, honest: Contribution) -> Said:
        more = np.zeros(self._length(honest) - 1)
        more[self.dice.randrange(len(more))] = self.dice.uniform(-3.0, 3.0)
        return (_shifted(honest, ring.encode(np.concatenate([[0.0], more]), ["count", *map(str, range(len(more)))])),)


class CountsItselfTwice(_OfContributions):
    """Sends twice its vector's worth of contributors."""

    schemes = EVERY - {PAILLIER}
    names = False

    def _instead_of(self, honest: Contribution) -> Said:
        more = np.zeros(self._length(honest))
        more[0] = 1.0
        return (_shifted(honest, ring.encode(more, [str(i) for i in range(len(more))])),)


class SendsTwoVectors(_OfContributions):
    """Answers one sum twice, differently."""

    schemes = EVERY - {PAILLIER}
    names = False  # it is named when both arrive, but the weather may hold one back until the sum was opened

    def _instead_of(self, honest: Contribution) -> Said:
        return honest, replace(honest, vector=self.dice.randbytes(len(honest.vector)))


class MasksForAnotherSum(_OfContributions):
    """Sends a vector whose masks are those of another context: to the rest, random numbers."""

    names = False

    def _instead_of(self, honest: Contribution) -> Said:
        return (replace(honest, vector=self.dice.randbytes(len(honest.vector))),)


class SendsItsLastVector(_OfContributions):
    """Sends the vector of an earlier sum, renumbered, where they are equally long."""

    names = False

    def __init__(self, situation: Situation) -> None:
        """Nothing to send again yet."""
        super().__init__(situation)
        self._vectors: dict[int, bytes] = {}

    def _instead_of(self, honest: Contribution) -> Said:
        earlier = self._vectors.setdefault(len(honest.vector), honest.vector)
        return (replace(honest, vector=earlier),)

    def _lie(self, honest: SumReply) -> Said | None:
        said = super()._lie(honest)
        return None if said is not None and said[0] == honest else said


class SendsAnotherLength(_OfContributions):
    """Sends more numbers than were asked for, or fewer."""

    schemes = EVERY - {PAILLIER}

    def _instead_of(self, honest: Contribution) -> Said:
        longer = honest.vector + self.dice.randbytes(ring.ELEMENT_BYTES * self.dice.randint(1, 1000))
        return (replace(honest, vector=self.dice.choice([longer, honest.vector[: -ring.ELEMENT_BYTES]])),)


class SealsForNobody(LyingSite):
    """Seals shares that the others cannot open."""

    schemes = frozenset({TOLERANT})
    harmless = True  # the shares of mask keys are opened only if it is lost
    names = False  # the coordinator may have changed them as well

    def _lie(self, honest: SumReply) -> Said | None:
        if not isinstance(honest, KeyShares | Contribution):
            return None
        return (with_field_flipped(honest, "sealed", self.dice),)  # type: ignore[return-value]


class ReleasesWrongShares(LyingSite):
    """Releases shares that are not those it was given."""

    schemes = frozenset({TOLERANT})
    harmless = True  # a threshold of other shares may be enough
    names = False  # who of those that were used it was cannot be known

    def _lie(self, honest: SumReply) -> Said | None:
        if not isinstance(honest, Unmasking):
            return None
        return (replace(honest, shares=tuple(self.dice.randbytes(len(share)) for share in honest.shares)),)


class ReleasesTooFewShares(LyingSite):
    """Releases shares of some sites only."""

    schemes = frozenset({TOLERANT})

    def _lie(self, honest: SumReply) -> Said | None:
        return (replace(honest, shares=honest.shares[:-1]),) if isinstance(honest, Unmasking) else None


class DecryptsWrongly(LyingSite):
    """Sends partial decryptions by another share of the key, or of another product."""

    schemes = frozenset({PAILLIER})
    harmless = True
    names = False

    def _lie(self, honest: SumReply) -> Said | None:
        if not isinstance(honest, Decryption):
            return None
        wrong = bytearray(self.dice.randbytes(len(honest.partials)))
        wrong[:: len(wrong) // self._count(honest)] = bytes(self._count(honest))  # each below N^2
        return (replace(honest, partials=bytes(wrong)),)

    def _count(self, honest: Decryption) -> int:
        assert self.terms.paillier is not None  # noqa: S101  ``schemes``
        return len(honest.partials) // ((2 * self.terms.paillier.modulus.bit_length() + 7) // 8)


class OpensAnotherCommitment(LyingSite):
    """Opens ciphertexts that it had not committed to."""

    schemes = frozenset({PAILLIER})

    def _lie(self, honest: SumReply) -> Said | None:
        if honest.phase is not Phase.OPEN:
            return None
        return (with_field_flipped(honest, self.dice.choice(["nonce", "ciphertexts"]), self.dice),)  # type: ignore[return-value]


class SignsWrongly(LyingSite):
    """Signs its keys, its survivors or its commitment with another key."""

    schemes = PHASED

    def _lie(self, honest: SumReply) -> Said | None:
        if not isinstance(honest, Advertisement | Agreement | Commitment):
            return None
        return (with_field_flipped(honest, "signature", self.dice),)  # type: ignore[return-value]


class AgreesToOthers(LyingSite):
    """Signs a list of survivors that is not the one it was told."""

    schemes = frozenset({TOLERANT})

    def _lie(self, honest: SumReply) -> Said | None:
        return (replace(honest, survivors=honest.survivors[1:]),) if isinstance(honest, Agreement) else None


class SpeaksAnotherProtocol(LyingSite):
    """Sends a message that this protocol does not have."""

    schemes = EVERY

    def _lie(self, honest: SumReply) -> Said | None:
        head = honest.session_id, honest.number, honest.site
        other: SumReply = Decryption(*head, b"\1" * 128)
        if self.terms.scheme == PAILLIER:
            other = Contribution(*head, bytes(ring.ELEMENT_BYTES))
        return (other,)


class AnswersTheNextSum(LyingSite):
    """Answers a sum that was not asked yet."""

    schemes = EVERY

    def _lie(self, honest: SumReply) -> Said | None:
        return (replace(honest, number=honest.number + 1),)


# Lies about who it is, and silence.


class FallsSilent(LyingSite):
    """Sends nothing any more."""

    schemes = EVERY
    stops = (LinkError,)
    stays_away = True

    def _lie(self, honest: SumReply) -> Said | None:
        return ()


class Impersonates(LyingSite):
    """Says that it is another site, over its own connection."""

    schemes = EVERY
    stops = (RefusalError,)
    stays_away = True
    names = False

    def _lie(self, honest: SumReply) -> Said | None:
        other = self.dice.choice([name for name in self.terms.names if name != honest.site])
        return (replace(honest, site=other),)


class SendsGarbage(LyingSite):
    """Sends bytes that are no message."""

    schemes = EVERY
    stays_away = True
    names = False

    def _lie(self, honest: SumReply) -> Said | None:
        return (b"\xff" + self.dice.randbytes(self.dice.randint(0, 200)),)


class HasNoNumber(LyingSite):
    """Its rows give NaN, an infinity, or a number beyond all bounds: its own machine refuses."""

    schemes = EVERY
    stops = (FitError,)

    def rows(self, rows: SiteRows) -> SiteRows:
        """Rows that answer one number wrongly."""
        return _WrongRows(rows, self)

    def spoil(self, values: Vector) -> Vector:
        """``values``, one of which is no number."""
        self.told = True
        wrong = values.copy()
        wrong[self.dice.randrange(len(wrong))] = self.dice.choice([np.nan, np.inf, -np.inf, 2.0**43, -1e300])
        return wrong

    def _lie(self, honest: SumReply) -> Said | None:
        return None


class _WrongRows(SiteRows):
    def __init__(self, rows: SiteRows, liar: HasNoNumber) -> None:
        self._rows, self._liar = rows, liar

    def answer(self, question: Question) -> Vector:
        return self._liar.spoil(self._rows.answer(question))


class Refuses(LyingSite):
    """Stops everybody with a long sentence of control characters."""

    schemes = EVERY
    stops = (RefusalError,)

    def _lie(self, honest: SumReply) -> Said | None:
        return (Refusal(honest.site, RefusalError("\x1b[2J\n" + "no " * 3000)),)


class _OfHellos(LyingSite):
    schemes = EVERY

    def _lie(self, honest: SumReply) -> Said | None:
        return None

    def _of_greeting(self, site: SiteAtHand, honest: Hello | Ready | Refusal) -> Said:
        if not isinstance(honest, Hello):
            return (honest,)
        self.told = True
        return self._instead_of(honest)

    @abstractmethod
    def _instead_of(self, honest: Hello) -> Said:
        """What to say instead."""

    def _signed(self, honest: Hello, **changes: bytes) -> Hello:
        other = replace(honest, **changes)  # type: ignore[arg-type]
        return sign_hello(self.signing, other.site, other.study_digest, other.nonce, other.mask_public_key)


class SignsItsHelloWrongly(_OfHellos):
    """Comes without the key that the roster gives it."""

    stays_away = True
    names = True

    def _instead_of(self, honest: Hello) -> Said:
        return (with_field_flipped(honest, "signature", self.dice),)  # type: ignore[return-value]


class HasAnotherStudy(_OfHellos):
    """Comes with another version of the study."""

    stays_away = True
    stops = (RefusalError,)

    def _instead_of(self, honest: Hello) -> Said:
        return (self._signed(honest, study_digest=bytes(32)),)


class HasAKeyOfLowOrder(_OfHellos):
    """Brings a mask key that gives the same secret with everybody."""

    schemes = frozenset({MASKING})

    def _instead_of(self, honest: Hello) -> Said:
        return (self._signed(honest, mask_public_key=bytes(32)),)


class HasTwoHellos(_OfHellos):
    """Uses one nonce for two mask keys, one for the coordinator and one for whoever asks again."""

    stays_away = True
    harmless = True  # whichever came first is as good

    def _instead_of(self, honest: Hello) -> Said:
        return honest, self._signed(honest, mask_public_key=self.dice.randbytes(32))


class ForgetsItsKeys(LyingSite):
    """Starts again without its folder in the middle of a session: with new keys and an empty journal."""

    schemes = EVERY
    stops = (LinkError,)
    stays_away = True

    def _lie(self, honest: SumReply) -> Said | None:
        draw = self.dice.randbytes
        return (sign_hello(self.signing, honest.site, self.terms.study_digest, draw(32), draw(32)),)


class RestoresABackup(LyingSite):
    """Starts again with the journal of an earlier sum, as if its disk had been restored."""

    schemes = PROTECTED - {PAILLIER}  # there it would encrypt anew, which the coordinator takes for a second answer
    harmless = True  # what it sends again is what it sent before
    names = True

    def _lie(self, honest: SumReply) -> Said | None:
        return None

    def says(self, site: SiteAtHand) -> Said:
        """As it would, after a while from an older journal."""
        message = site.message
        if not self.told and not isinstance(message, Hello | Ready | Refusal) and message.number > self.number:
            self.told = True
            del site.journal[self.dice.randint(1, len(site.journal) - 1) :]
            site.restart()
        return (site.message,)


LYING_SITES: tuple[type[LyingSite], ...] = tuple(
    kind
    for name, kind in list(globals().items())
    if isinstance(kind, type) and kind.__module__ == __name__ and not name.startswith("_") and kind is not LyingSite
)
"""Every kind, in the order of this file."""
