"""How a contribution is protected: one interface, and a table of the protocols behind it.

The machines know nothing of masks. Another protocol is another entry of ``PROTECTIONS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

from fedglmm_secure import ring
from fedglmm_secure.errors import InputError
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum.masking.protection import Masking
from fedglmm_secure.securesum.session import Session

Randomness = Callable[[int], bytes]
"""n -> n bytes that nobody can predict: ``secrets.token_bytes`` in the programs."""


class SiteProtection(Protocol):
    """One site's side of a protocol, for the length of one session."""

    @property
    def public_key(self) -> bytes:
        """32 bytes for the Hello."""

    def join(self, session: Session, site: str) -> None:
        """Prepare for the sums of an open session."""

    def seal(self, encoded: Ring, session: Session, site: str, context: bytes) -> bytes:
        """The bytes that may leave the site in place of ``encoded``."""


class Plain:
    """No protection: for rehearsal and measurement. A site refuses it unless its own policy allows it."""

    def __init__(self, key_bytes: bytes) -> None:
        """Take 32 random bytes, which only make the Hello unique."""
        self.public_key = key_bytes

    def join(self, session: Session, site: str) -> None:
        """Nothing to prepare."""

    def seal(self, encoded: Ring, session: Session, site: str, context: bytes) -> bytes:
        """The vector as it is."""
        return ring.to_bytes(encoded)


@dataclass(frozen=True)
class Protection:
    """Both sides of a protocol: how a site starts a session, and how the coordinator opens a complete sum."""

    at_site: Callable[[bytes], SiteProtection]
    combine: Callable[[Iterable[Ring]], Ring]


def add_all(vectors: Iterable[Ring]) -> Ring:
    """The sum modulo 2^128, in which pairwise masks cancel."""
    return reduce(ring.add, vectors)


PROTECTIONS = {
    "masking": Protection(at_site=Masking, combine=add_all),
    "plain": Protection(at_site=Plain, combine=add_all),
}


def protection_of(protocol: str) -> Protection:
    """The protection of that name; InputError names those that exist."""
    if protocol not in PROTECTIONS:
        raise InputError(f"the protocol {protocol!r} is not available; use one of {', '.join(sorted(PROTECTIONS))}")
    return PROTECTIONS[protocol]
