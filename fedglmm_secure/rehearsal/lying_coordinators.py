"""A coordinator that lies to one site, in each way that we know: one class a lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, cast

from fedglmm_secure.errors import FitError, PeerError, RefusalError
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Describe, MarginalDerivatives, Question
from fedglmm_secure.rehearsal.hostile import Said
from fedglmm_secure.rehearsal.liars import EVERY, PAILLIER, PHASED, TOLERANT, Lie, Situation, with_field_flipped
from fedglmm_secure.rehearsal.weather import damaged
from fedglmm_secure.securesum import Coordinator, Hello, Phase, Relay, SessionOffer, SumReply, Terms
from fedglmm_secure.securesum.messages import Advertisement, Agreement, Commitment, Opening, Parcel, Part
from fedglmm_secure.securesum.protection import Collected
from fedglmm_secure.securesum.session import sign_hello
from fedglmm_secure.securesum.states import CLOSING
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.messages import CoordinatorMessage, Next, SiteMessage


class BlindCoordinator(Coordinator):
    """Believes every signature and opening, so that a lie gets as far as the sites, who must find it themselves."""

    def __init__(self, terms: Terms) -> None:
        """As the honest one, without these checks."""
        super().__init__(terms)
        check = self._protection.check

        def believe(collected: Collected, message: SumReply) -> None:
            if not isinstance(message, Advertisement | Agreement | Commitment | Opening):
                check(collected, message)

        self._protection = replace(self._protection, check=believe)


class LyingCoordinator(Lie):
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
            if not self.told and _number(honest) >= self.number:
                lie = self._lie(honest)
                if lie is not None and lie != honest:
                    self.told, self._lies[key] = True, lie
            if key in self._lies:
                return self._lies[key]
        self.heard.append((site, honest))
        return honest

    def _lie(self, honest: Next | Relay) -> Said | None:
        """What to say instead; None when this is not the moment."""
        raise NotImplementedError

    def another(self) -> str:
        """Some other site than the victim."""
        return self.dice.choice([name for name in self.terms.names if name != self.victim])

    def told_before(self) -> list[CoordinatorMessage]:
        """What the victim was honestly told."""
        return [said for site, said in self.heard if site == self.victim]


def _number(message: Next | Relay) -> int:
    return message.request.number if isinstance(message, Next) else message.number


# Lies about the question.


class _AboutTheQuestion(LyingCoordinator):
    """Changes a question on its way."""

    schemes = EVERY

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        return self._changed(honest) if isinstance(honest, Next) else None

    def _changed(self, honest: Next) -> Next | None:
        """Another question."""
        raise NotImplementedError


class LeavesOutASite(_AboutTheQuestion):
    """Asks for a sum without one of the sites."""

    stops = (RefusalError, PeerError)
    schemes = _AboutTheQuestion.schemes - {"plain"}

    def _changed(self, honest: Next) -> Next | None:
        left = self.another()
        others = tuple(name for name in honest.request.participants if name != left)
        return replace(honest, request=replace(honest.request, participants=others))


class AsksOneSiteAlone(_AboutTheQuestion):
    """Asks for a sum over the victim alone, which is its contribution."""

    stops = (RefusalError,)

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, participants=(self.victim,)))


class InventsASite(_AboutTheQuestion):
    """Asks for a sum with a site that is not in the roster."""

    stops = (RefusalError,)

    def _changed(self, honest: Next) -> Next | None:
        more = tuple(sorted((*honest.request.participants, "zz invented")))
        return replace(honest, request=replace(honest.request, participants=more))


class AsksAnotherQuestion(_AboutTheQuestion):
    """Asks one site at other parameters than the rest, to learn how its answer differs."""

    schemes = _AboutTheQuestion.schemes - {"plain"}
    earliest = 2

    def _changed(self, honest: Next) -> Next | None:
        return _asking(honest, _elsewhere(honest.question))


class AsksTwice(LyingCoordinator):
    """Asks another question under a number that was answered already."""

    schemes = EVERY
    earliest = 3

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        asked = [said for said in self.told_before() if isinstance(said, Next)]
        question = _elsewhere(asked[-1].question) if asked else None
        return _asking(replace(asked[-1], offer=None), question) if question else None


class RepeatsTheQuestion(_AboutTheQuestion):
    """Asks the last question once more before the next one: the same answer is no news."""

    earliest = 2
    harmless = True

    def __init__(self, situation: Situation) -> None:
        """Only once."""
        super().__init__(situation)
        self._repeated = False

    def says(self, site: str, asked: SiteMessage, honest: CoordinatorMessage | None) -> Said | None:
        """The last question, and the next time the present one."""
        said = super().says(site, asked, honest)
        if said is not honest and self._repeated:
            return honest
        self._repeated = self._repeated or said is not honest
        return said

    def _changed(self, honest: Next) -> Next | None:
        return _earlier_question(self, honest.request.number - 1)


class ReplaysAnOldQuestion(_AboutTheQuestion):
    """Asks the question of a sum that is long over."""

    earliest = 3
    stops = (PeerError, RefusalError)

    def _changed(self, honest: Next) -> Next | None:
        return _earlier_question(self, honest.request.number - 2)


class SkipsASum(_AboutTheQuestion):
    """Leaves out a number."""

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, number=honest.request.number + 1))


class AsksWithoutEnd(_AboutTheQuestion):
    """Asks for more sums than the study allows."""

    stops = (RefusalError,)

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, number=self.terms.max_sums + 1))


class AsksForAnotherLength(_AboutTheQuestion):
    """Asks for more numbers than the question has."""

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, length=honest.request.length + 1))


class AsksInAnotherSession(_AboutTheQuestion):
    """Puts the id of another session into a question."""

    earliest = 2

    def _changed(self, honest: Next) -> Next | None:
        return replace(honest, request=replace(honest.request, session_id=self.dice.randbytes(32)))


class DescribesAgain(_AboutTheQuestion):
    """Asks for the description in a later sum."""

    earliest = 2

    def _changed(self, honest: Next) -> Next | None:
        return _asking(honest, None if isinstance(honest.question, Describe) else Describe())


class SinglesOut(_AboutTheQuestion):
    """Asks at parameters beyond all reason, where single patients would have all the weight."""

    earliest = 2
    stops = (PeerError, RefusalError)

    def _changed(self, honest: Next) -> Next | None:
        return _asking(honest, _elsewhere(honest.question, by=10.0 ** self.dice.randint(2, 9)))


class InventsADescription(_AboutTheQuestion):
    """Tells a site that the pooled data have 20 rows, fewer than it has itself."""

    earliest = 2
    stops = (PeerError, RefusalError)

    def _changed(self, honest: Next) -> Next | None:
        question = honest.question
        if not isinstance(question, MarginalDerivatives):
            return None
        return _asking(honest, replace(question, description=(20.0, *question.description[1:])))


class SendsNoNumber(_AboutTheQuestion):
    """Asks at a parameter that is no number."""

    earliest = 2
    stops = (PeerError, FitError)

    def _changed(self, honest: Next) -> Next | None:
        question = honest.question
        if not isinstance(question, MarginalDerivatives):
            return None
        wrong = self.dice.choice([float("nan"), float("inf"), -float("inf")])
        return _asking(honest, replace(question, theta=(wrong, *question.theta[1:])))


# Lies about the session.


class _AboutTheOffer(LyingCoordinator):
    """Changes the session's offer, which comes with the first question."""

    schemes = EVERY

    def __init__(self, situation: Situation) -> None:
        """The offer is there before the first sum."""
        super().__init__(situation)
        self.number = 1

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        if not isinstance(honest, Next) or honest.offer is None:
            return None
        return replace(honest, offer=self._changed(honest.offer))

    def _changed(self, offer: SessionOffer) -> SessionOffer:
        """Another offer."""
        raise NotImplementedError

    def exchanged(self, offer: SessionOffer, hello: Hello) -> SessionOffer:
        """The offer with another hello of the same site."""
        return replace(offer, hellos=tuple(hello if hello.site == own.site else own for own in offer.hellos))

    def hello_of(self, offer: SessionOffer, name: str) -> Hello:
        """One site's hello."""
        return next(hello for hello in offer.hellos if hello.site == name)


class ForgesAHello(_AboutTheOffer):
    """Puts a mask key of its own in a site's place, signed with a key of its own, to read the masks with that site."""

    def _changed(self, offer: SessionOffer) -> SessionOffer:
        draw = self.dice.randbytes
        return self.exchanged(
            offer, sign_hello(self.signing, self.another(), self.terms.study_digest, draw(32), draw(32))
        )


class ChangesAHello(_AboutTheOffer):
    """Changes a byte of a hello: of another site, or of the victim itself."""

    stops = (PeerError, RefusalError)

    def _changed(self, offer: SessionOffer) -> SessionOffer:
        theirs = self.hello_of(offer, self.dice.choice(self.terms.names))
        field = self.dice.choice(["study_digest", "nonce", "mask_public_key", "signature"])
        changed = with_field_flipped(theirs, field, self.dice)
        assert isinstance(changed, Hello)  # noqa: S101  as ``theirs``
        return self.exchanged(offer, changed)


class OffersWithoutASite(_AboutTheOffer):
    """Leaves a site out of the session."""

    stops = (RefusalError,)

    def _changed(self, offer: SessionOffer) -> SessionOffer:
        left = self.another()
        return replace(offer, hellos=tuple(hello for hello in offer.hellos if hello.site != left))


class OffersWithAStranger(_AboutTheOffer):
    """Adds a site that is not in the roster."""

    stops = (RefusalError,)

    def _changed(self, offer: SessionOffer) -> SessionOffer:
        draw = self.dice.randbytes
        stranger = sign_hello(self.signing, "zz invented", self.terms.study_digest, draw(32), draw(32))
        return replace(offer, hellos=(*offer.hellos, stranger))


class NamesAnotherStudy(_AboutTheOffer):
    """Says that a site is in another study than the victim."""

    stops = (RefusalError,)

    def _changed(self, offer: SessionOffer) -> SessionOffer:
        theirs = self.hello_of(offer, self.another())
        return self.exchanged(offer, replace(theirs, study_digest=self.dice.randbytes(32)))


class OffersTwoSessions(_AboutTheOffer):
    """Gives one site a session id of its own, by another nonce."""

    schemes = _AboutTheOffer.schemes - {"plain"}

    def _changed(self, offer: SessionOffer) -> SessionOffer:
        return replace(offer, coordinator_nonce=self.dice.randbytes(32))


class OffersAgain(LyingCoordinator):
    """Offers a second session in the middle of the first, with the same hellos."""

    schemes = EVERY
    earliest = 2

    def _lie(self, honest: Next | Relay) -> CoordinatorMessage | None:
        offers = [said.offer for _, said in self.heard if isinstance(said, Next) and said.offer is not None]
        if not isinstance(honest, Next) or not offers:
            return None
        return replace(honest, offer=replace(offers[0], coordinator_nonce=self.dice.randbytes(32)))


# Lies about what the other sites sent.


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

    def _changed(self, honest: Relay) -> Sequence[Part]:
        """Other parts; none when this is not the moment."""
        raise NotImplementedError

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


class RelaysAnotherPhase(_AboutARelay):
    """Says that what was sent in one phase was sent in another."""

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
        now = isinstance(honest, Relay) and honest.phase is Phase.AGREE
        if not now or not lists or lists[-1].number != honest.number:  # type: ignore[union-attr]
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


class Garbles(LyingCoordinator):
    """Sends bytes that are nearly a message."""

    stops = (PeerError, RefusalError, FitError)
    harmless = True  # bytes may change that nobody needs

    def _lie(self, honest: Next | Relay) -> bytes | None:
        return damaged(codec.encode_coordinator(honest), self.dice)


def _asking(honest: Next, question: Question | None) -> Next | None:
    """The same request with another question."""
    if question is None:
        return None
    request = replace(honest.request, question=questions.encode(question))
    return replace(honest, request=request, question=question)


def _elsewhere(question: Question, by: float = 2.0**-20) -> Question | None:
    """The question at other parameters; None for a description, which has none."""
    if not isinstance(question, MarginalDerivatives):
        return None
    return replace(question, theta=(question.theta[0] + by, *question.theta[1:]))


def _earlier_question(liar: LyingCoordinator, number: int) -> Next | None:
    asked = [said for said in liar.told_before() if isinstance(said, Next) and said.request.number == number]
    return replace(asked[-1], offer=None) if asked else None


def _concrete(kind: type[LyingCoordinator]) -> list[type[LyingCoordinator]]:
    found = [] if kind.__name__.startswith("_") or kind is LyingCoordinator else [kind]
    return found + [one for below in kind.__subclasses__() for one in _concrete(below)]


LYING_COORDINATORS: tuple[type[LyingCoordinator], ...] = tuple(_concrete(LyingCoordinator))
"""Every kind, in the order of this file."""
