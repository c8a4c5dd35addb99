"""How a contribution is protected: one interface, and a table of the protocols behind it.

The machines (``site``, ``coordinator``) know phases, sites and journals, and nothing of masks or ciphertexts. Another
protocol is another entry of ``PROTECTIONS`` and of ``states.PHASES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Protocol, TypeVar, cast

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.messages import (
    Contribution,
    KeyShares,
    Parcel,
    Part,
    Phase,
    SumReply,
    SumRequest,
)
from fedglmm_secure.securesum.seed import Seed
from fedglmm_secure.securesum.session import Session, Terms

PartT = TypeVar("PartT", bound=Part)

Randomness = Callable[[int], bytes]
"""n -> n bytes that nobody can predict: ``secrets.token_bytes`` in the programs."""


@dataclass(frozen=True)
class SumView:
    """What one site knows of one sum."""

    terms: Terms
    session: Session
    site: str
    request: SumRequest

    @cached_property
    def context(self) -> bytes:
        """The context of the sum (32 bytes), for every pair of sites the same."""
        return self.session.context(self.request)

    @property
    def head(self) -> tuple[bytes, int, str]:
        """The first three fields of every message of this site in this sum."""
        return self.session.id, self.request.number, self.site


class SiteSum(Protocol):
    """One site's side of one sum. Whose messages a relay holds is checked before; what they say is checked here."""

    def absorb(self, phase: Phase, parts: tuple[Part, ...]) -> None:
        """Check and keep what the sites sent in ``phase``; PeerError keeps nothing."""

    def make(self, phase: Phase) -> SumReply:
        """The site's message of a phase that needs no answer of its own."""

    def seal(self, encoded: Ring) -> tuple[SumReply, ...]:
        """The message that may leave the site in place of ``encoded``, and any that it must keep for a later phase."""

    def restore(self, made: tuple[SumReply, ...]) -> None:
        """Take back what ``seal`` made before this site was started again."""


class SiteSide(Protocol):
    """One site's side of a protocol, for the length of one session."""

    def start(self, view: SumView) -> SiteSum:
        """Begin a sum."""

    def work_ahead(self) -> None:
        """Prepare what the next sum needs, while this site waits for others."""


@dataclass(frozen=True)
class Collected:
    """A complete sum as the coordinator holds it: ``messages[phase][site]``, and who was expected in each phase."""

    terms: Terms
    session: Session
    request: SumRequest
    messages: Mapping[Phase, Mapping[str, SumReply]]
    expected: Mapping[Phase, tuple[str, ...]]
    keys: Mapping[str, SumReply]
    """The advertisement of each site that this sum belongs to, where keys are advertised."""

    @cached_property
    def context(self) -> bytes:
        """The context of the sum (32 bytes)."""
        return self.session.context(self.request)

    def of(self, phase: Phase) -> Mapping[str, SumReply]:
        """The messages of a phase, by site."""
        return self.messages[phase]


@dataclass(frozen=True)
class SiteMaterial:
    """What a site brings to a session."""

    terms: Terms
    session: Session
    name: str
    signing: SigningIdentity
    seed: Seed
    randomness: Randomness
    share: object = None
    """The site's share of the Paillier key, for protocol "paillier"."""


@dataclass(frozen=True)
class Protection:
    """Both sides of a protocol: a site's, the check of one message, and how the coordinator opens a complete sum."""

    at_site: Callable[[SiteMaterial], SiteSide]
    check: Callable[[Collected, SumReply], None]
    total: Callable[[Collected], Ring]


def relayed(message: SumReply, recipient: str, members: tuple[str, ...]) -> Part:
    """What ``recipient`` gets of one site's message, in which sealed entries are in the order of ``members``."""
    match message:
        case KeyShares(sealed=sealed):
            return Parcel(message.site, sealed[members.index(recipient)])
        case Contribution(sealed=sealed, commitment=commitment):
            return Parcel(message.site, sealed[members.index(recipient)], commitment)
        case _:
            return message  # type: ignore[return-value]  # the other phases that are relayed are relayed whole


def check_sealed(message: KeyShares | Contribution, members: tuple[str, ...]) -> None:
    """Raise PeerError unless there is one sealed entry a member, empty for the sender alone."""
    empty = tuple(name for name, entry in zip(members, message.sealed, strict=False) if not entry)
    if len(message.sealed) != len(members) or empty != (message.site,):
        raise PeerError(f"site {message.site!r} sealed its shares for others than those taking part; start it again")


def check_vector(collected: Collected, message: SumReply) -> None:
    """Raise PeerError, naming the site, unless a contribution has as many numbers as were asked for."""
    if isinstance(message, Contribution) and len(message.vector) != collected.request.length * ring.ELEMENT_BYTES:
        raise PeerError(
            f"site {message.site!r} sent {len(message.vector)} bytes where {collected.request.length} numbers were "
            "asked for; use the same version everywhere"
        )


def vectors(collected: Collected) -> dict[str, Ring]:
    """The vector of each site that contributed."""
    length = collected.request.length
    return {
        name: ring.from_bytes(message.vector, length)
        for name, message in collected.of(Phase.CONTRIBUTE).items()
        if isinstance(message, Contribution)
    }


def add_all(collected: Collected) -> Ring:
    """The sum modulo 2^128, in which pairwise masks cancel."""
    return reduce(ring.add, vectors(collected).values())


def all_of(kind: type[PartT], parts: tuple[Part, ...]) -> tuple[PartT, ...]:
    """The parts of a relay; PeerError unless all are of one kind."""
    if not all(isinstance(part, kind) for part in parts):
        raise PeerError(f"the coordinator relays something else than {kind.__name__}; use the same version everywhere")
    return cast("tuple[PartT, ...]", parts)
