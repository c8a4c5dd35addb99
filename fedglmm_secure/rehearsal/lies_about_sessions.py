"""A coordinator that lies to one site about who is in the session: one class a lie."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.rehearsal.liars import (
    EVERY,
    LyingCoordinator,
    Situation,
    with_field_flipped,
)
from fedglmm_secure.securesum import Hello, Relay, SessionOffer
from fedglmm_secure.securesum.session import sign_hello
from fedglmm_secure.wire.messages import CoordinatorMessage, Next


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

    @abstractmethod
    def _changed(self, offer: SessionOffer) -> SessionOffer:
        """Another offer."""

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


class OffersAnOldSession(_AboutTheOffer):
    """Brings hellos of an earlier session back, rightly signed: all of them, or another site's."""

    schemes = _AboutTheOffer.schemes - {"plain"}

    def _changed(self, offer: SessionOffer) -> SessionOffer:
        old = {hello.site: hello for hello in self.old_hellos()}
        which = set(old) if self.dice.random() < 0.5 else {self.another()}
        return replace(offer, hellos=tuple(old[own.site] if own.site in which else own for own in offer.hellos))


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
