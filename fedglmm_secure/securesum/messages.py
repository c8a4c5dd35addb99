"""The messages of a secure sum: frozen, validated on construction, bulk and signatures left out of ``repr``.

A message that cannot be valid in any session is refused here with PeerError; what depends on the session is
checked by the machines (``site``, ``coordinator``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fedglmm_secure.errors import PeerError
from fedglmm_secure.ring import ELEMENT_BYTES, MAX_SITES

DIGEST_BYTES = 32
NONCE_BYTES = 32
KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_NAME_BYTES = 200
MAX_LENGTH = 2**18
"""Numbers in one vector (4 MiB): the derivatives of a model with 720 parameters."""
MAX_QUESTION_BYTES = 2**23
"""Canonical bytes of one question: room for the moments of 700 columns."""


@dataclass(frozen=True)
class Hello:
    """A site announces itself: its nonce and its mask key of this session, signed with its roster key."""

    site: str
    study_digest: bytes
    nonce: bytes
    mask_public_key: bytes
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on a size that no Hello has."""
        _check_name(self.site)
        _check_size("study digest", self.study_digest, DIGEST_BYTES)
        _check_size("site nonce", self.nonce, NONCE_BYTES)
        _check_size("mask key", self.mask_public_key, KEY_BYTES)
        _check_size("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True)
class SessionOffer:
    """The coordinator relays every site's Hello, ordered by site name, with a nonce of its own."""

    coordinator_nonce: bytes
    hellos: tuple[Hello, ...]

    def __post_init__(self) -> None:
        """Raise PeerError unless the sites are in strictly ascending order."""
        _check_size("coordinator nonce", self.coordinator_nonce, NONCE_BYTES)
        _check_ascending("sites of the session offer", tuple(hello.site for hello in self.hellos))


@dataclass(frozen=True)
class SumRequest:
    """The coordinator asks ``participants`` for their contributions to sum ``number``.

    ``question`` is opaque here (canonical bytes); ``length`` is the numbers in the vector, the contributor
    count in its first slot included. ``attempt`` is 0 unless a sum is repeated with fewer participants.
    """

    session_id: bytes
    number: int
    attempt: int
    participants: tuple[str, ...]
    question: bytes = field(repr=False)
    length: int

    def __post_init__(self) -> None:
        """Raise PeerError on a number, length or size that no request has."""
        _check_sum(self.session_id, self.number, self.attempt)
        _check_ascending("participants of the sum", self.participants)
        if not 2 <= self.length <= MAX_LENGTH:
            raise PeerError(f"a sum of {self.length} numbers is outside 2..{MAX_LENGTH}")
        if not 0 < len(self.question) <= MAX_QUESTION_BYTES:
            raise PeerError(f"a question of {len(self.question)} bytes is outside 1..{MAX_QUESTION_BYTES}")


@dataclass(frozen=True)
class Contribution:
    """A site's protected vector for one sum: 16 bytes a number, little-endian."""

    session_id: bytes
    number: int
    attempt: int
    site: str
    vector: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on a vector that no sum has."""
        _check_sum(self.session_id, self.number, self.attempt)
        _check_name(self.site)
        _check_vector(self.vector)


@dataclass(frozen=True)
class JournalRecord:
    """What a site writes down, and syncs to disk, before a contribution leaves: enough never to answer
    otherwise.

    ``context`` binds the question, the participants and the length (see ``session.Session.context``).
    """

    context: bytes
    contribution: Contribution

    def __post_init__(self) -> None:
        """Raise PeerError on a context of another size."""
        _check_size("context", self.context, DIGEST_BYTES)


def _check_size(what: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise PeerError(f"a {what} has {size} bytes, not {len(value)}")


def _check_name(site: str) -> None:
    if not 0 < len(site.encode(errors="replace")) <= MAX_NAME_BYTES:
        raise PeerError(f"a site's name has 1 to {MAX_NAME_BYTES} bytes")


def _check_sum(session_id: bytes, number: int, attempt: int) -> None:
    _check_size("session id", session_id, DIGEST_BYTES)
    if number < 1 or attempt < 0:
        raise PeerError(f"sums are numbered from 1 and attempts from 0, not {number} and {attempt}")


def _check_vector(vector: bytes) -> None:
    if not vector or len(vector) % ELEMENT_BYTES or len(vector) > MAX_LENGTH * ELEMENT_BYTES:
        raise PeerError(f"a vector of {len(vector)} bytes is not 1..{MAX_LENGTH} numbers of {ELEMENT_BYTES} bytes")


def _check_ascending(what: str, names: tuple[str, ...]) -> None:
    for name in names:
        _check_name(name)
    if not names or len(names) > MAX_SITES or list(names) != sorted(set(names)):
        raise PeerError(f"the {what} must be 1..{MAX_SITES} different names in ascending order")
