"""The messages of a secure sum: frozen, validated on construction, bulk and signatures left out of ``repr``.

A message that cannot be valid in any session is refused here with PeerError; what depends on the session is
checked by the machines (``site``, ``coordinator``) and the protocols behind them (``masking``, ``paillier``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

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
BATCH = 16
"""Sums whose keys are advertised at once: more than most fits take, and each costs keys whether it is used or not."""
SHARE_BYTES = 33
"""A share modulo 2^256 + 297."""
TAG_BYTES = 16
SEALED_BYTES = SHARE_BYTES + TAG_BYTES
MAX_CIPHERTEXTS_BYTES = 2**23
"""All ciphertexts of one site in one sum."""


class Phase(StrEnum):
    """A step of a sum, in which each site sends one message."""

    ADVERTISE = "advertise"
    SHARE = "share"
    CONTRIBUTE = "contribute"
    AGREE = "agree"
    UNMASK = "unmask"
    COMMIT = "commit"
    OPEN = "open"
    DECRYPT = "decrypt"


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
        check_ascending("sites of the session offer", tuple(hello.site for hello in self.hellos))


@dataclass(frozen=True)
class SumRequest:
    """The coordinator asks ``participants`` for their contributions to sum ``number``.

    ``question`` is opaque here (canonical bytes); ``length`` is the numbers in the vector, the contributor
    count in its first slot included.
    """

    session_id: bytes
    number: int
    participants: tuple[str, ...]
    question: bytes = field(repr=False)
    length: int

    def __post_init__(self) -> None:
        """Raise PeerError on a number, length or size that no request has."""
        _check_sum(self.session_id, self.number)
        check_ascending("participants of the sum", self.participants)
        if not 2 <= self.length <= MAX_LENGTH:
            raise PeerError(f"a sum of {self.length} numbers is outside 2..{MAX_LENGTH}")
        if not 0 < len(self.question) <= MAX_QUESTION_BYTES:
            raise PeerError(f"a question of {len(self.question)} bytes is outside 1..{MAX_QUESTION_BYTES}")


@dataclass(frozen=True)
class SumMessage:
    """What every message of a site within a sum says of itself."""

    phase: ClassVar[Phase]

    session_id: bytes
    number: int
    site: str

    def __post_init__(self) -> None:
        """Raise PeerError on a session, number or name that no sum has."""
        _check_sum(self.session_id, self.number)
        _check_name(self.site)


@dataclass(frozen=True)
class Advertisement(SumMessage):
    """The public keys of a batch of sums, ``number`` the first of them: two X25519 keys a sum, signed."""

    phase = Phase.ADVERTISE

    wrap_keys: tuple[bytes, ...] = field(repr=False)
    mask_keys: tuple[bytes, ...] = field(repr=False)
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on another number of keys, or one of another size."""
        super().__post_init__()
        if len(self.wrap_keys) != BATCH or len(self.mask_keys) != BATCH:
            raise PeerError(f"a batch has the keys of {BATCH} sums")
        for key in (*self.wrap_keys, *self.mask_keys):
            _check_size("key of a batch", key, KEY_BYTES)
        _check_size("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True)
class KeyShares(SumMessage):
    """The shares of a batch's mask keys, sealed for each member in turn; the site's own entry is empty."""

    phase = Phase.SHARE

    sealed: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on a sealed batch of another size."""
        super().__post_init__()
        _check_sealed(self.sealed, BATCH * SEALED_BYTES)


@dataclass(frozen=True)
class Contribution(SumMessage):
    """A site's protected vector for one sum: 16 bytes a number, little-endian.

    With ``dropouts`` also a commitment to its self-mask seed and the shares of that seed, sealed for each member in
    turn (the site's own entry is empty).
    """

    phase = Phase.CONTRIBUTE

    vector: bytes = field(repr=False)
    commitment: bytes = b""
    sealed: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on a vector, commitment or share that no sum has."""
        super().__post_init__()
        if not self.vector or len(self.vector) % ELEMENT_BYTES or len(self.vector) > MAX_LENGTH * ELEMENT_BYTES:
            raise PeerError(
                f"a vector of {len(self.vector)} bytes is not 1..{MAX_LENGTH} numbers of {ELEMENT_BYTES} bytes"
            )
        if bool(self.commitment) != bool(self.sealed):
            raise PeerError("a self-mask comes with its commitment and its shares, or with neither")
        if self.commitment:
            _check_size("commitment", self.commitment, DIGEST_BYTES)
            _check_sealed(self.sealed, SEALED_BYTES)


@dataclass(frozen=True)
class Agreement(SumMessage):
    """A site signs who masked, whose vectors arrived, and their commitments: the same for everybody."""

    phase = Phase.AGREE

    survivors: tuple[str, ...]
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError unless the survivors are in strictly ascending order."""
        super().__post_init__()
        check_ascending("survivors", self.survivors)
        _check_size("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True)
class Unmasking(SumMessage):
    """One share a member, in their order: of its self-mask seed if it survived, else of its mask key. Never both."""

    phase = Phase.UNMASK

    shares: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on a share of another size."""
        super().__post_init__()
        if not 0 < len(self.shares) <= MAX_SITES:
            raise PeerError(f"an unmasking has 1 to {MAX_SITES} shares")
        for share in self.shares:
            _check_size("share", share, SHARE_BYTES)


@dataclass(frozen=True)
class Commitment(SumMessage):
    """A site binds itself to its ciphertexts before it has seen any other's, and signs."""

    phase = Phase.COMMIT

    digest: bytes
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on another size."""
        super().__post_init__()
        _check_size("commitment", self.digest, DIGEST_BYTES)
        _check_size("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True)
class Opening(SumMessage):
    """The ciphertexts of a commitment, each as wide as N^2, big-endian, with the nonce that hid them."""

    phase = Phase.OPEN

    nonce: bytes
    ciphertexts: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on a size that no sum has."""
        super().__post_init__()
        _check_size("nonce", self.nonce, NONCE_BYTES)
        _check_bulk("ciphertexts", self.ciphertexts)


@dataclass(frozen=True)
class Decryption(SumMessage):
    """A site's partial decryptions of the product, each as wide as N^2, big-endian."""

    phase = Phase.DECRYPT

    partials: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise PeerError on a size that no sum has."""
        super().__post_init__()
        _check_bulk("partial decryptions", self.partials)


@dataclass(frozen=True)
class Parcel:
    """What one site sealed for the recipient of a relay; in a sum's survivors also its commitment."""

    site: str
    sealed: bytes = field(repr=False)
    commitment: bytes = b""

    def __post_init__(self) -> None:
        """Raise PeerError on a size that no parcel has."""
        _check_name(self.site)
        if len(self.sealed) not in (0, SEALED_BYTES, BATCH * SEALED_BYTES):
            raise PeerError(f"a parcel of {len(self.sealed)} bytes holds no shares")
        if self.commitment:
            _check_size("commitment", self.commitment, DIGEST_BYTES)


Part = Advertisement | Parcel | Agreement | Commitment | Opening
"""What is relayed of one site: its message as it was sent, or the parcel for the recipient."""


@dataclass(frozen=True)
class Relay:
    """The coordinator passes on what the sites sent in ``phase`` of sum ``number``, in ascending order of site."""

    session_id: bytes
    number: int
    phase: Phase
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        """Raise PeerError unless the parts are in strictly ascending order of site."""
        _check_sum(self.session_id, self.number)
        check_ascending("sites of a relay", self.sites)

    @property
    def sites(self) -> tuple[str, ...]:
        """Whose messages are passed on."""
        return tuple(part.site for part in self.parts)


SumReply = Advertisement | KeyShares | Contribution | Agreement | Unmasking | Commitment | Opening | Decryption
"""What a site sends within a sum."""


@dataclass(frozen=True)
class JournalRecord:
    """What a site writes down, and syncs to disk, before anything leaves: enough never to answer otherwise.

    ``received`` is the offer, question or relay that the site took; ``made`` what it made of it: the first is sent,
    a second (the opening of a commitment) when its phase comes. ``context`` binds the question, the participants and
    the length (see ``session.Session.context``); it is that of no sum, zeros, for an offer.
    """

    context: bytes
    received: SessionOffer | SumRequest | Relay
    made: tuple[SumReply, ...]

    def __post_init__(self) -> None:
        """Raise PeerError on a context of another size."""
        _check_size("context", self.context, DIGEST_BYTES)


def check_ascending(what: str, names: tuple[str, ...]) -> None:
    """Raise PeerError unless ``names`` are 1 to 255 different names in ascending order."""
    for name in names:
        _check_name(name)
    if not names or len(names) > MAX_SITES or list(names) != sorted(set(names)):
        raise PeerError(f"the {what} must be 1..{MAX_SITES} different names in ascending order")


def _check_size(what: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise PeerError(f"a {what} has {size} bytes, not {len(value)}")


def _check_name(site: str) -> None:
    if not 0 < len(site.encode(errors="replace")) <= MAX_NAME_BYTES:
        raise PeerError(f"a site's name has 1 to {MAX_NAME_BYTES} bytes")


def _check_sum(session_id: bytes, number: int) -> None:
    _check_size("session id", session_id, DIGEST_BYTES)
    if number < 1:
        raise PeerError(f"sums are numbered from 1, not {number}")


def _check_sealed(sealed: tuple[bytes, ...], size: int) -> None:
    if not 0 < len(sealed) <= MAX_SITES or any(len(entry) not in (0, size) for entry in sealed):
        raise PeerError(f"sealed shares are 1 to {MAX_SITES} entries of {size} bytes, or empty")


def _check_bulk(what: str, content: bytes) -> None:
    if not 0 < len(content) <= MAX_CIPHERTEXTS_BYTES:
        raise PeerError(f"{what} of {len(content)} bytes are outside 1..{MAX_CIPHERTEXTS_BYTES}")
