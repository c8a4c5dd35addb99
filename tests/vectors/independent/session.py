"""The session and what is signed: ``docs/protocol.md``, "Session and context", M1 to M4, P1, "When a site is lost"."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.vectors.independent import curves
from tests.vectors.independent.hashing import canonical, digest
from tests.vectors.independent.refusal import require

VERSION = "fedglmm/securesum/v2"


@dataclass(frozen=True)
class Terms:
    """What a party takes from its own copy of the study."""

    protocol: str
    study_digest: bytes
    roster: tuple[tuple[str, bytes], ...]
    minimum_sites: int
    dropouts: int
    on_dropout: str
    modulus: int
    dealt_threshold: int

    @property
    def names(self) -> list[str]:
        """The roster's names, in order."""
        return [name for name, _ in self.roster]

    @property
    def threshold(self) -> int:
        """t, k, or 0 where every site must contribute."""
        if self.protocol == "paillier":
            return self.dealt_threshold
        return 2 * len(self.roster) // 3 + 1 if self.protocol == "masking" and self.dropouts else 0

    def index(self, name: str) -> int:
        """A site's number in the roster."""
        return self.names.index(name) + 1

    def key(self, name: str) -> bytes:
        """A site's roster key."""
        return dict(self.roster)[name]

    def check_cohort(self, before: Collection[str], now: Collection[str], own: str) -> None:
        """Who may be in a sum after those ``before``, as site ``own`` sees it."""
        require(set(now) <= set(before) and own in now, "RefusalError", "not all were there before")
        if set(now) != set(before):
            require(self.on_dropout == "exclude", "RefusalError", "the study waits")
            require(len(now) >= len(self.roster) - self.dropouts, "RefusalError", "too many are lost")


Hello = Mapping[str, Any]
"""The fields of a Hello, or of any other message, by name."""


def hello_fields(hello: Hello) -> bytes:
    """What a hello's signature is over."""
    return canonical(
        ["fedglmm/securesum/v1/hello", hello["study_digest"], hello["site"], hello["nonce"], hello["mask_public_key"]]
    )


def open_offer(terms: Terms, coordinator_nonce: bytes, hellos: Sequence[Hello]) -> bytes:
    """The session id of an offer, with rules 9 to 12."""
    require([hello["site"] for hello in hellos] == terms.names, "RefusalError", "another roster")
    for hello in hellos:
        require(hello["study_digest"] == terms.study_digest, "RefusalError", "another study")
        curves.verify(terms.key(hello["site"]), hello["signature"], hello_fields(hello))
    nonces = {coordinator_nonce, *(hello["nonce"] for hello in hellos)}
    keys = {hello["mask_public_key"] for hello in hellos}
    require(len(nonces) == len(hellos) + 1 and len(keys) == len(hellos), "PeerError", "a nonce or a key twice")
    return digest(
        "fedglmm/securesum/v2/session", VERSION, terms.protocol, terms.study_digest, terms.roster, [44, 43, 128],
        len(terms.roster), terms.threshold, terms.minimum_sites, terms.dropouts, terms.on_dropout, terms.modulus,
        coordinator_nonce, [[hello["nonce"], hello["mask_public_key"]] for hello in hellos],
    )  # fmt: skip


def context(session_id: bytes, number: int, question: bytes, length: int, participants: Sequence[str]) -> bytes:
    """The context of a sum."""
    asked = digest("fedglmm/securesum/v1/question", question)
    return digest("fedglmm/securesum/v2/sum", session_id, number, asked, length, sorted(participants))


def advertisement_fields(sent: Mapping[str, Any]) -> bytes:
    """What M1 signs."""
    return canonical(
        ["fedglmm/masking/v1/advertise", sent["session_id"], sent["number"], sent["site"], sent["wrap_keys"],
         sent["mask_keys"]]
    )  # fmt: skip


def take_keys(terms: Terms, advertised: Sequence[Mapping[str, Any]]) -> None:
    """M1: every signature; no key twice."""
    for sent in advertised:
        curves.verify(terms.key(sent["site"]), sent["signature"], advertisement_fields(sent))
    keys = [key for sent in advertised for key in (*sent["wrap_keys"], *sent["mask_keys"])]
    require(len(set(keys)) == len(keys), "PeerError", "a key twice")


def self_commitment(seed: bytes, sum_context: bytes, site: str) -> bytes:
    """M3: what binds a site to its self-mask seed."""
    return digest("fedglmm/masking/v1/self commitment", sum_context, site, seed)


def agreement_fields(sum_context: bytes, members: Sequence[str], commitments: Mapping[str, bytes]) -> bytes:
    """What M4 signs."""
    survivors = [[site, commitments[site]] for site in sorted(commitments)]
    return canonical(["fedglmm/masking/v1/agree", sum_context, members, survivors])


def take_agreements(
    terms: Terms,
    sum_context: bytes,
    members: Sequence[str],
    commitments: Mapping[str, bytes],
    agreements: Sequence[Mapping[str, Any]],
) -> None:
    """M5: signatures over exactly what this site signed; that there are t of them is the relay's to check."""
    for sent in agreements:
        require(list(sent["survivors"]) == sorted(commitments), "PeerError", "other survivors")
        fields = agreement_fields(sum_context, members, commitments)
        curves.verify(terms.key(sent["site"]), sent["signature"], fields)


def paillier_commitment(sum_context: bytes, site: str, nonce: bytes, ciphertexts: bytes) -> bytes:
    """P1: what binds a site to its ciphertexts."""
    return digest("fedglmm/paillier/v1/commit", sum_context, site, nonce, ciphertexts)


def commitment_fields(sum_context: bytes, site: str, commitment: bytes) -> bytes:
    """What P1 signs."""
    return canonical(["fedglmm/paillier/v1/commit", sum_context, site, commitment])
