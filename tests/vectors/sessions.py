"""The three sessions that are written down, and what their coordinators lie about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from fedglmm_secure.model.questions import ALL, Describe, MarginalDerivatives
from fedglmm_secure.securesum import PaillierTerms, Phase, Relay, Terms, labels
from fedglmm_secure.securesum.messages import Advertisement, Agreement, Commitment, Opening, Parcel, Part
from fedglmm_secure.securesum.paillier.keys import KeyShare
from fedglmm_secure.securesum.session import sign_hello
from fedglmm_secure.wire.messages import CoordinatorMessage, Next
from tests.vectors.cases import drawn
from tests.vectors.cases_paillier import MODULUS
from tests.vectors.cases_paillier import P as FIRST_PRIME
from tests.vectors.cases_paillier import Q as SECOND_PRIME
from tests.vectors.independent import paillier
from tests.vectors.transcripts import Ask, Lie, Recorder, roster, signing_of, transcript

STUDY = drawn("study")
THREE = ("1_UM", "2_IU", "3_UK")
FOUR = (*THREE, "4_Case")
LIAR = "2_IU"
"""The site that is lied to."""
DERIVATIVES = MarginalDerivatives((0.5, -0.25), 9, (0,), (602.0, 0.0, 4.0), ALL)
DISTRUST = "do not trust this coordinator"


def answers(names: tuple[str, ...], numbers: int, text: str) -> dict[str, list[float]]:
    """Numbers of all sizes and signs."""
    made = {}
    for name in names:
        data = drawn(f"{text} of {name}", 8 * numbers)
        whole = [int.from_bytes(data[i : i + 8], "big", signed=True) for i in range(0, 8 * numbers, 8)]
        made[name] = [number * 2.0 ** -(21 + 4 * (i % 8)) for i, number in enumerate(whole)]
    return made


def masking() -> dict[str, Any]:
    """Three sites, two sums."""
    terms = Terms("masking", STUDY, roster(*THREE), minimum_sites=3, max_sums=5)
    asks = [Ask(Describe(), answers(THREE, 4, "first")), Ask(DERIVATIVES, answers(THREE, 6, "second"))]
    return transcript(terms, asks, _lies_of_next)


def masking_with_dropouts() -> dict[str, Any]:
    """Four sites; in the first sum one is lost before its vector, and excluded; a second sum over the others."""
    terms = Terms("masking", STUDY, roster(*FOUR), minimum_sites=3, max_sums=10, dropouts=1, on_dropout="exclude")
    lost = {Phase.CONTRIBUTE: ["3_UK"]}
    others = tuple(name for name in FOUR if name != "3_UK")
    asks = [Ask(Describe(), answers(FOUR, 3, "first"), lost), Ask(Describe(), answers(others, 3, "second"))]
    return transcript(terms, asks, _lies_of_relays)


def threshold_paillier() -> dict[str, Any]:
    """Three sites, two of which decrypt, with a key of 512 bits; a sum of two ciphertexts, and one without a site."""
    terms = Terms("paillier", STUDY, roster(*THREE), minimum_sites=2, max_sums=5, paillier=PaillierTerms(MODULUS, 2))
    bound = 6**2 * 2**128 * MODULUS**2
    coefficient = int.from_bytes(drawn("key", bound.bit_length() // 8 + 16), "big") % bound
    secrets = paillier.key_shares(FIRST_PRIME, SECOND_PRIME, 3, [coefficient])
    shares = {name: KeyShare(i, secret) for i, (name, secret) in enumerate(zip(THREE, secrets, strict=True), 1)}
    asks = [
        Ask(Describe(), answers(THREE, 6, "first")),
        Ask(DERIVATIVES, answers(THREE, 6, "second"), {Phase.DECRYPT: ["1_UM"]}),
    ]
    return transcript(terms, asks, _lies_of_relays, shares)


SESSIONS = {
    "transcript_masking": masking,
    "transcript_masking_with_dropouts": masking_with_dropouts,
    "transcript_paillier": threshold_paillier,
}


def _lies_of_next(recorder: Recorder, name: str, honest: CoordinatorMessage) -> list[Lie]:
    """About the offer and the question."""
    if name != LIAR or not isinstance(honest, Next):
        return []
    request, question = honest.request, honest.question
    lies = []
    if honest.offer is not None:
        offer = honest.offer
        others = tuple(hello for hello in offer.hellos if hello.site != name)
        nonce, key = drawn("another nonce"), offer.hellos[0].mask_public_key[::-1]
        own = sign_hello(signing_of(name), name, STUDY, nonce, key)
        changed = tuple(sorted((*others, own), key=lambda hello: hello.site))
        lies += [
            Lie("offer_bad_own_hello", replace(honest, offer=replace(offer, hellos=changed)), "PeerError", DISTRUST),
            Lie(
                "offer_bad_site_missing", replace(honest, offer=replace(offer, hellos=others)), "RefusalError",
                "all sites of the roster must take part",
            ),
        ]  # fmt: skip
    else:
        offer = replace(recorder.offer, coordinator_nonce=drawn("second"))
        lies.append(Lie("offer_bad_second_one", replace(honest, offer=offer), "PeerError", "out of order"))
        before = replace(request, number=request.number - 1)
        lies.append(
            Lie(
                "request_bad_second_question_under_one_number", Next(None, before, question), "PeerError",
                "a second, different question under sum 1",
            )
        )  # fmt: skip
    number = request.number
    changes: dict[str, tuple[dict[str, Any], str, str]] = {
        "skips_a_number": ({"number": number + 1}, "PeerError", f"skips from sum {number - 1} to sum {number + 1}"),
        "without_a_site": ({"participants": THREE[1:]}, "RefusalError", "all sites of the roster must take part"),
        "with_a_stranger": ({"participants": (*THREE, "9_XX")}, "RefusalError", "not all among those taking part"),
        "another_session": ({"session_id": drawn("x")}, "PeerError", "belongs to another session"),
    }
    for what, (change, error, sentence) in changes.items():
        lies.append(
            Lie(f"request_bad_{what}_{number}", replace(honest, request=replace(request, **change)), error, sentence)
        )
    return lies


def _lies_of_relays(recorder: Recorder, name: str, honest: CoordinatorMessage) -> list[Lie]:
    """About what other sites sent, and what this site sent itself."""
    if name != LIAR or not isinstance(honest, Relay):
        return []
    own = next(i for i, part in enumerate(honest.parts) if part.site == name)
    lies = [
        ("without_its_own", replace(honest, parts=_without(honest, own)), "PeerError", "left out or changed"),
        ("another_sum", replace(honest, number=honest.number + 1), "PeerError", "which is not the present one"),
        ("another_session", replace(honest, session_id=drawn("x")), "PeerError", "belongs to another session"),
    ]
    makers = {
        Phase.ADVERTISE: _about_keys, Phase.SHARE: _about_shares, Phase.CONTRIBUTE: _about_survivors,
        Phase.AGREE: _about_agreements, Phase.COMMIT: _about_commitments, Phase.OPEN: _about_openings,
    }  # fmt: skip
    lies += makers[honest.phase](recorder, honest, own)
    prefix = f"relay_bad_{honest.phase.value}_{honest.number}"
    return [Lie(f"{prefix}_{what}", relay, error, sentence) for what, relay, error, sentence in lies]


_Lie = tuple[str, Relay, str, str]
BY_ANOTHER_KEY = "is not by the key that the study's roster gives it"


def _without(honest: Relay, *places: int) -> tuple[Part, ...]:
    return tuple(part for i, part in enumerate(honest.parts) if i not in places)


def _with(honest: Relay, place: int, **changes: Any) -> Relay:
    parts = list(honest.parts)
    parts[place] = replace(parts[place], **changes)
    return replace(honest, parts=tuple(parts))


def _place_of_another(own: int) -> int:
    return 0 if own else 1


def _flip(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def _about_keys(recorder: Recorder, honest: Relay, own: int) -> Iterator[_Lie]:
    place = _place_of_another(own)
    part, mine = cast("Advertisement", honest.parts[place]), cast("Advertisement", honest.parts[own])
    fresh = (drawn("x"), *part.mask_keys[1:])
    yield "a_key_exchanged", _with(honest, place, mask_keys=fresh), "PeerError", BY_ANOTHER_KEY
    keys = (mine.mask_keys[3], *part.mask_keys[1:])
    signature = signing_of(part.site).sign(
        labels.ADVERTISE, part.session_id, part.number, part.site, part.wrap_keys, keys
    )
    yield (
        "a_key_twice", _with(honest, place, mask_keys=keys, signature=signature), "PeerError",
        "have the same key in a batch",
    )  # fmt: skip
    yield "two_sites_lost", replace(honest, parts=honest.parts[:2]), "RefusalError", "the study allows 1 dropouts"


def _about_shares(recorder: Recorder, honest: Relay, own: int) -> Iterator[_Lie]:
    place = _place_of_another(own)
    part = cast("Parcel", honest.parts[place])
    yield (
        "of_one_sum",
        _with(honest, place, sealed=part.sealed[:49]),
        "PeerError",
        "sealed its shares for another batch",
    )
    yield "two_sites_lost", replace(honest, parts=honest.parts[:2]), "RefusalError", "the study allows 1 dropouts"


def _about_survivors(recorder: Recorder, honest: Relay, own: int) -> Iterator[_Lie]:
    place = _place_of_another(own)
    part, mine = cast("Parcel", honest.parts[place]), cast("Parcel", honest.parts[own])
    changed = "was changed on its way"
    yield "a_share_changed", _with(honest, place, sealed=_flip(part.sealed)), "PeerError", changed
    last = len(honest.parts) - 1
    other = cast("Parcel", honest.parts[last])
    exchanged = _with(_with(honest, place, sealed=other.sealed), last, sealed=part.sealed)
    yield "two_shares_exchanged", exchanged, "PeerError", changed
    lied = _with(honest, own, commitment=_flip(mine.commitment))
    yield "its_own_commitment_changed", lied, "PeerError", DISTRUST
    missing = _with(honest, place, commitment=b"")
    yield "a_commitment_missing", missing, "PeerError", "changed a commitment to a self-mask"
    yield "too_many_lost", replace(honest, parts=honest.parts[:2]), "RefusalError", "the study allows 1 dropouts"


def _about_agreements(recorder: Recorder, honest: Relay, own: int) -> Iterator[_Lie]:
    place = _place_of_another(own)
    part = cast("Agreement", honest.parts[place])
    fewer = _with(honest, place, survivors=part.survivors[:-1])
    yield "other_survivors", fewer, "PeerError", "other survivors than this site; no share is released"
    yield "a_signature_changed", _with(honest, place, signature=_flip(part.signature)), "PeerError", BY_ANOTHER_KEY
    yield "too_few", replace(honest, parts=_without(honest, place)), "PeerError", "are needed"
    yield "of_another_sum", _with(honest, place, number=honest.number + 1), "PeerError", "in another sum"


def _about_commitments(recorder: Recorder, honest: Relay, own: int) -> Iterator[_Lie]:
    place = _place_of_another(own)
    part = cast("Commitment", honest.parts[place])
    yield "a_digest_changed", _with(honest, place, digest=_flip(part.digest)), "PeerError", BY_ANOTHER_KEY
    yield "a_site_lost", replace(honest, parts=_without(honest, place)), "RefusalError", "all sites of the roster"


def _about_openings(recorder: Recorder, honest: Relay, own: int) -> Iterator[_Lie]:
    place = _place_of_another(own)
    part, mine = cast("Opening", honest.parts[place]), cast("Opening", honest.parts[own])
    committed = "are not those that it committed to"
    yield "ciphertexts_of_another", _with(honest, place, ciphertexts=mine.ciphertexts), "PeerError", committed
    yield "another_nonce", _with(honest, place, nonce=_flip(part.nonce)), "PeerError", committed
    yield "a_site_lost", replace(honest, parts=_without(honest, place)), "RefusalError", "all sites of the roster"
    alone = replace(honest, parts=(honest.parts[own],))
    yield "one_site_only", alone, "RefusalError", "all sites of the roster"
