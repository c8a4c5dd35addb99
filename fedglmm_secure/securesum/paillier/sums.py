"""Both sides of a sum under threshold Paillier: commit, open, decrypt (``docs/protocol.md``).

Every site encrypts its vector under the study's key and binds itself to the ciphertexts before it has seen another's.
When all are open, each site multiplies them itself, and gives its partial decryption of that product alone: a single
contribution is never decrypted, as no honest site helps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from fedglmm_secure import canonical
from fedglmm_secure.errors import InputError, PeerError
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum import identity, labels
from fedglmm_secure.securesum.messages import NONCE_BYTES, Commitment, Decryption, Opening, Part, Phase, SumReply
from fedglmm_secure.securesum.paillier import (
    Blinders,
    KeyShare,
    PublicKey,
    combine,
    encrypt,
    from_bytes,
    multiply,
    pack,
    partial_decrypt,
    plaintexts_for,
    to_bytes,
    unpack,
)
from fedglmm_secure.securesum.protection import Collected, SiteMaterial, SumView, all_of
from fedglmm_secure.securesum.session import Terms


class Paillier:
    """One site's side in one session. Its ``repr`` hides its share."""

    def __init__(self, material: SiteMaterial) -> None:
        """Take the site's share of the study's key; InputError when it is not this site's."""
        self._material, self._public = material, public_key(material.terms)
        if not isinstance(material.share, KeyShare) or material.share.index != material.terms.index_of(material.name):
            raise InputError(
                f"site {material.name} has no share of the study's Paillier key; join with the share file that "
                "`fedglmm paillier deal` wrote for it"
            )
        self._share = material.share
        self._blinders = Blinders(self._public, material.randomness)
        self._needed = 0

    def start(self, view: SumView) -> PaillierSum:
        """Begin a sum."""
        self._needed = plaintexts_for(view.request.length, self._public.bits)
        return PaillierSum(view, self._material, self._public, self._share, self._blinders)

    def work_ahead(self) -> None:
        """Prepare the slow part of the next encryption; for a thread that has nothing else to do."""
        self._blinders.prepare(self._needed)

    def __repr__(self) -> str:
        return "Paillier(<private>)"


class PaillierSum:
    """One site's side of one sum."""

    def __init__(
        self, view: SumView, material: SiteMaterial, public: PublicKey, share: KeyShare, blinders: Blinders
    ) -> None:
        """``blinders`` are those of the session: each serves for one ciphertext."""
        self._view, self._material, self._public = view, material, public
        self._share, self._blinders = share, blinders
        self._opening: Opening | None = None
        self._commitments: Mapping[str, bytes] = {}
        self._product: list[int] = []

    def seal(self, encoded: Ring) -> tuple[SumReply, ...]:
        """A signed commitment (P1), and the ciphertexts that it binds to, which leave when all have committed (P2)."""
        view = self._view
        plaintexts = pack(encoded, self._public.bits)
        ciphertexts = encrypt(self._public, plaintexts, self._blinders.take(len(plaintexts)))
        opening = Opening(*view.head, self._material.randomness(NONCE_BYTES), to_bytes(self._public, ciphertexts))
        digest = commitment(view.context, opening)
        signature = self._material.signing.sign(labels.COMMIT, view.context, view.site, digest)
        self._opening = opening
        return Commitment(*view.head, digest, signature), opening

    def restore(self, made: tuple[SumReply, ...]) -> None:
        """Take the ciphertexts back: they were drawn at random, and must not be drawn again."""
        match made:
            case (Commitment(digest=digest), Opening() as opening) if commitment(self._view.context, opening) == digest:
                self._opening = opening
            case _:
                raise PeerError("the journal holds another opening than this site committed to; start a new session")

    def absorb(self, phase: Phase, parts: tuple[Part, ...]) -> None:
        """The signed commitments, or the ciphertexts, whose product is made here; PeerError when one is wrong."""
        if phase is Phase.COMMIT:
            self._take_commitments(all_of(Commitment, parts))
        else:
            self._take_openings(all_of(Opening, parts))

    def make(self, phase: Phase) -> SumReply:
        """The opening, or the partial decryption of the product that this site made itself."""
        if phase is Phase.OPEN and self._opening is not None:
            return self._opening
        partials = partial_decrypt(self._public, self._share, self._product)  # P3 (rule 46)
        return Decryption(*self._view.head, to_bytes(self._public, partials))

    def _take_commitments(self, signed: tuple[Commitment, ...]) -> None:
        for part in signed:  # (rule 44)
            check_commitment(self._view.terms, self._view.context, part)
        self._commitments = {part.site: part.digest for part in signed}

    def _take_openings(self, opened: tuple[Opening, ...]) -> None:
        for part in opened:
            if commitment(self._view.context, part) != self._commitments.get(part.site):  # (rule 45)
                raise PeerError(f"the ciphertexts of site {part.site!r} are not those that it committed to")
        length = self._view.request.length
        self._product = multiply(self._public, [ciphertexts(self._public, part, length) for part in opened])

    def __repr__(self) -> str:
        return "PaillierSum(<private>)"


def check(collected: Collected, message: SumReply) -> None:
    """Raise PeerError for a message that cannot be opened later, so that its sender is known."""
    public, context = public_key(collected.terms), collected.context
    match message:
        case Commitment():
            check_commitment(collected.terms, context, message)
        case Opening():
            promised = cast("Commitment", collected.of(Phase.COMMIT)[message.site])
            if commitment(context, message) != promised.digest:
                raise PeerError(f"the ciphertexts of site {message.site!r} are not those that it committed to")
            ciphertexts(public, message, collected.request.length)
        case Decryption():
            _partials(public, message, collected.request.length)
        case _:
            raise PeerError(f"site {message.site!r} sent a message of another protocol; use the same study everywhere")


def total(collected: Collected) -> Ring:
    """The sum over the sites whose ciphertexts were multiplied; PeerError when the sites did not open it."""
    terms, length = collected.terms, collected.request.length
    public = public_key(terms)
    released = cast("Mapping[str, Decryption]", collected.of(Phase.DECRYPT))
    partials = {terms.index_of(name): _partials(public, message, length) for name, message in released.items()}
    plaintexts = combine(public, terms.threshold, len(terms.roster), partials)
    return unpack(plaintexts, length, len(collected.of(Phase.OPEN)), public.bits)


def public_key(terms: Terms) -> PublicKey:
    """The study's key."""
    if terms.paillier is None:
        raise InputError("the study has no Paillier key; deal it with `fedglmm paillier deal`")
    return PublicKey(terms.paillier.modulus)


def commitment(context: bytes, opening: Opening) -> bytes:
    """What binds a site to its ciphertexts of one sum."""
    return canonical.digest(labels.COMMIT, context, opening.site, opening.nonce, opening.ciphertexts)


def check_commitment(terms: Terms, context: bytes, message: Commitment) -> None:
    """Raise PeerError unless the commitment is signed by the site's roster key for this very sum."""
    key = terms.keys[message.site]
    identity.verify(message.site, key, message.signature, labels.COMMIT, context, message.site, message.digest)


def ciphertexts(public: PublicKey, opening: Opening, length: int) -> list[int]:
    """A site's ciphertexts; PeerError for another number of them, or what is no ciphertext."""
    count = plaintexts_for(length, public.bits)
    return from_bytes(public, opening.ciphertexts, count, f"site {opening.site!r}")


def _partials(public: PublicKey, message: Decryption, length: int) -> list[int]:
    count = plaintexts_for(length, public.bits)
    return from_bytes(public, message.partials, count, f"site {message.site!r}")
