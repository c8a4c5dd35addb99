"""What is agreed before a sum: the study's terms, the session an offer opens, the context of each sum."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fedglmm_secure import canonical, ring
from fedglmm_secure.errors import InputError, PeerError, RefusalError
from fedglmm_secure.securesum import identity, labels
from fedglmm_secure.securesum.messages import DIGEST_BYTES, KEY_BYTES, Hello, SessionOffer, SumRequest

SMALLEST_COHORT = 2
"""A sum over one site is that site's contribution."""

NO_THRESHOLD = 0
"""The threshold of a protocol in which every site of the roster must contribute."""

WAIT, EXCLUDE = "wait", "exclude"


@dataclass(frozen=True)
class PaillierTerms:
    """The study's Paillier key: the modulus N, and how many sites must decrypt together."""

    modulus: int
    threshold: int


_CODEC = (ring.FRACTION_BITS, ring.INTEGER_BITS, 8 * ring.ELEMENT_BYTES)


@dataclass(frozen=True)
class Terms:
    """What every party takes from its own copy of the study, never from a message.

    ``roster`` is the names and Ed25519 public keys of all sites, in ascending order of name. ``dropouts`` is how many
    of them a sum may lose, and ``on_dropout`` what is done about a lost one: wait, or go on without it.
    """

    protocol: str
    study_digest: bytes
    roster: tuple[tuple[str, bytes], ...]
    minimum_sites: int
    max_sums: int
    dropouts: int = 0
    on_dropout: str = WAIT
    paillier: PaillierTerms | None = None

    def __post_init__(self) -> None:
        """Raise InputError on terms that no study can mean."""
        names = list(self.names)
        if names != sorted(set(names)) or not SMALLEST_COHORT <= len(names) <= ring.MAX_SITES:
            raise InputError(
                f"the study's roster has {len(names)} sites; give it {SMALLEST_COHORT} to {ring.MAX_SITES} "
                "sites with different names"
            )
        if len(set(self.keys.values())) != len(names):
            raise InputError("two sites of the study's roster have the same public key; give each site its own")
        if len(self.study_digest) != DIGEST_BYTES or any(len(key) != KEY_BYTES for _, key in self.roster):
            raise InputError(f"the study's digest and each public key in its roster must have {KEY_BYTES} bytes")
        if self.minimum_sites < SMALLEST_COHORT or self.max_sums < 1:
            raise InputError(f"minimum_sites must be at least {SMALLEST_COHORT}, and the sums of a fit at least 1")
        if (self.protocol == "paillier") != (self.paillier is not None):
            raise InputError(
                "protocol 'paillier' needs the study's Paillier key, and no other protocol does; deal it with "
                "`fedglmm paillier deal`"
            )
        self._check_dropouts()

    def _check_dropouts(self) -> None:
        if self.paillier is not None and not len(self.roster) // 2 < self.paillier.threshold <= len(self.roster):
            raise InputError(
                f"the Paillier key needs {self.paillier.threshold} of {len(self.roster)} sites, which must be more "
                "than half and at most all; deal it again"
            )
        most = max(0, len(self.roster) - max(self.threshold, self.minimum_sites))
        if not 0 <= self.dropouts <= most:
            raise InputError(
                f"dropouts = {self.dropouts} is more than {len(self.roster)} sites can lose and still open a sum; "
                f"use at most {most}"
            )
        if self.on_dropout not in (WAIT, EXCLUDE) or (self.on_dropout == EXCLUDE and self.dropouts == 0):
            raise InputError(
                "on_dropout = 'exclude' leaves out at most `dropouts` sites, which is 0; set dropouts, or wait"
            )

    @property
    def survives_dropouts(self) -> bool:
        """Whether sums are masked twice, so that they can be opened without some sites."""
        return self.protocol == "masking" and self.dropouts > 0

    @property
    def scheme(self) -> str:
        """The protocol as ``states.PHASES`` names it: masking that survives dropouts is another one."""
        return "masking with dropouts" if self.survives_dropouts else self.protocol

    @property
    def threshold(self) -> int:
        """How many sites open a sum together: computed here, from the roster or the study, never told."""
        if self.paillier is not None:
            return self.paillier.threshold
        return 2 * len(self.roster) // 3 + 1 if self.survives_dropouts else NO_THRESHOLD

    @property
    def smallest_cohort(self) -> int:
        """How many sites a sum may be over at least: never below the threshold or ``minimum_sites`` of this study."""
        return len(self.roster) - (self.dropouts if self.on_dropout == EXCLUDE else 0)

    def index_of(self, name: str) -> int:
        """A site's place in the roster, from 1: where its shares are evaluated."""
        return self.names.index(name) + 1

    def check_cohort(self, before: Collection[str], now: Collection[str], own: str) -> None:
        """Raise RefusalError unless a sum over ``now`` may follow one over ``before``, as site ``own`` sees it.

        Nobody joins, this site is in it, and nobody is lost unless the study says ``on_dropout = "exclude"``; then no
        more than ``dropouts`` of the roster.
        """
        if not set(now) <= set(before) or own not in now:  # (rule 26)
            raise RefusalError(
                f"the coordinator wants a sum over {len(now)} sites that are not all among those taking part; do not "
                "trust this coordinator"
            )
        if set(now) == set(before):
            return
        if self.on_dropout != EXCLUDE:  # (rule 25)
            raise RefusalError(
                f"the coordinator wants a sum over {len(now)} of {len(before)} sites; all sites of the roster must "
                "take part, as the study does not say on_dropout = 'exclude'"
            )
        if len(now) < self.smallest_cohort:  # (rule 26)
            raise RefusalError(
                f"the coordinator wants a sum over {len(now)} of the roster's {len(self.roster)} sites; the study "
                f"allows {self.dropouts} dropouts"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The roster's names, in order."""
        return tuple(name for name, _ in self.roster)

    @property
    def keys(self) -> Mapping[str, bytes]:
        """The roster's public key of each name."""
        return dict(self.roster)

    def name_of(self, public_key: bytes) -> str:
        """The site whose roster key this is; RefusalError when it is nobody's."""
        for name, key in self.roster:
            if key == public_key:
                return name
        raise RefusalError(
            "this site's key is not in the study's roster; have the study's author add its public.toml, or "
            "join with the keys that were added"
        )


@dataclass(frozen=True)
class Policy:
    """What a site's own configuration demands beyond the study: it can be stricter, never looser."""

    minimum_sites: int = SMALLEST_COHORT
    allow_plain: bool = False

    def check(self, terms: Terms) -> None:
        """Raise RefusalError when the study asks for less protection than this site gives."""
        if terms.protocol == "plain" and not self.allow_plain:  # (rule 3)
            raise RefusalError(
                "the study sends sums without protection (protocol 'plain') and this site's policy does not "
                "allow it; use 'masking', or set allow_plain = true in the site's policy"
            )
        needed = max(terms.minimum_sites, self.minimum_sites)
        if len(terms.roster) < needed:  # (rule 4)
            raise RefusalError(
                f"the study's roster has {len(terms.roster)} sites and at least {needed} are required; add "
                "sites, or lower minimum_sites in the study and in the site's policy"
            )
        if terms.smallest_cohort < needed:  # (rule 4)
            raise RefusalError(
                f"the study may go on over {terms.smallest_cohort} sites, as it says on_dropout = 'exclude', and at "
                f"least {needed} are required; lower dropouts in the study, or minimum_sites in the site's policy"
            )


DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Session:
    """An open session: its id and the mask key of each site, in roster order."""

    id: bytes
    mask_keys: Mapping[str, bytes]

    def context(self, request: SumRequest) -> bytes:
        """SHA-256 of all that two sites must agree on for their masks of this sum to cancel."""
        return canonical.digest(
            labels.CONTEXT,
            self.id,
            request.number,
            canonical.digest(labels.QUESTION, request.question),
            request.length,
            sorted(request.participants),
        )


NO_SESSION = Session(b"", {})
"""Before an offer is accepted; no message can carry its id."""


def sign_hello(
    signing: identity.SigningIdentity, site: str, study_digest: bytes, nonce: bytes, mask_public_key: bytes
) -> Hello:
    """The signed Hello of a site."""
    signature = signing.sign(labels.HELLO, study_digest, site, nonce, mask_public_key)
    return Hello(site, study_digest, nonce, mask_public_key, signature)


def check_hello(terms: Terms, hello: Hello) -> None:
    """Verify that a Hello is by a site of the roster, for this study, under its roster key.

    Raises RefusalError for a stranger or another study, PeerError for a wrong signature.
    """
    if hello.site not in terms.keys:
        raise RefusalError(f"site {hello.site!r} is not in the study's roster; add it to the study, or leave it out")
    if hello.study_digest != terms.study_digest:  # (rule 10)
        raise RefusalError(
            f"site {hello.site!r} has another version of the study (digest {hello.study_digest.hex()[:16]}, "
            f"here {terms.study_digest.hex()[:16]}); give all parties the same study file"
        )
    identity.verify(  # (rule 11)
        hello.site,
        terms.keys[hello.site],
        hello.signature,
        labels.HELLO,
        hello.study_digest,
        hello.site,
        hello.nonce,
        hello.mask_public_key,
    )


def open_offer(terms: Terms, offer: SessionOffer) -> Session:
    """Check an offer and open its session.

    Exactly the roster's sites, each Hello by its roster key, no nonce and no mask key twice. Raises RefusalError for
    another roster or study, PeerError for anything else.
    """
    offered = tuple(hello.site for hello in offer.hellos)
    if offered != terms.names:  # (rule 9)
        raise RefusalError(
            f"the coordinator offers a session of {', '.join(offered)}, but the study's roster is "
            f"{', '.join(terms.names)}; all sites of the roster must take part"
        )
    for hello in offer.hellos:  # (rules 10 and 11)
        check_hello(terms, hello)
    nonces = {offer.coordinator_nonce, *(hello.nonce for hello in offer.hellos)}
    mask_keys = {hello.site: hello.mask_public_key for hello in offer.hellos}
    if len(nonces) != len(offered) + 1 or len(set(mask_keys.values())) != len(offered):  # (rule 12)
        raise PeerError("two parties of the session offer have the same nonce or mask key; start the session again")
    return Session(_session_id(terms, offer), mask_keys)


def _session_id(terms: Terms, offer: SessionOffer) -> bytes:
    return canonical.digest(
        labels.SESSION,
        labels.PROTOCOL,
        terms.protocol,
        terms.study_digest,
        terms.roster,
        _CODEC,
        len(terms.roster),
        terms.threshold,
        terms.minimum_sites,
        terms.dropouts,
        terms.on_dropout,
        0 if terms.paillier is None else terms.paillier.modulus,
        offer.coordinator_nonce,
        [(hello.nonce, hello.mask_public_key) for hello in offer.hellos],
    )
