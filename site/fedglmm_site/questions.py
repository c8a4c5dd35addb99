"""Exactly what a study lets a coordinator ask, and what this site's contribution to each question would be."""

from __future__ import annotations

from dataclasses import dataclass

from fedglmm_secure import ring
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import (
    ALL,
    TRAINING,
    VALIDATION,
    Describe,
    HeldOutLikelihood,
    MarginalDerivatives,
    Question,
    WorkingDerivatives,
)
from fedglmm_secure.securesum import SumReply
from fedglmm_secure.securesum.messages import (
    DIGEST_BYTES,
    NONCE_BYTES,
    SEALED_BYTES,
    SHARE_BYTES,
    SIGNATURE_BYTES,
    Agreement,
    Commitment,
    Contribution,
    Decryption,
    Opening,
    Unmasking,
)
from fedglmm_secure.securesum.paillier import BITS, PublicKey, plaintexts_for
from fedglmm_secure.securesum.site import COUNT_SLOT
from fedglmm_secure.study import Study
from fedglmm_secure.wire.codec import encode_site
from fedglmm_secure.wire.terms import max_sums

_PARTS = {ALL: "all complete rows", TRAINING: "the training rows", VALIDATION: "the validation rows"}


_MASKED = (
    "masked: random numbers that cancel only in the sum over all sites are added to each number, so that the "
    "coordinator can read that sum and no site's own numbers"
)
PROTECTIONS = {
    "masking": _MASKED,
    "masking with dropouts": f"{_MASKED}; the sites together can open a sum when some of them are lost",
    "paillier": "encrypted under the study's key, which more than half of the sites use together to decrypt the sum, "
    "and nothing else",
    "plain": "NOT protected: the coordinator reads this site's own numbers",
}
"""Each scheme (``Terms.scheme``) in words."""


def scheme_of(study: Study) -> str:
    """How the study protects sums, as in ``PROTECTIONS``."""
    masked_twice = study.security.protocol == "masking" and study.security.dropouts > 0
    return "masking with dropouts" if masked_twice else study.security.protocol


@dataclass(frozen=True)
class Possible:
    """A question that may be asked, in its longest form: a design whose columns depend on each other drops some."""

    kind: str
    meaning: str
    rows: str
    sums: str
    """In which sums it may come."""
    names: tuple[str, ...]
    """What each number of a contribution is."""
    bytes: int
    """Of this site's messages in the sum, at most."""


def possible_questions(study: Study, site: str) -> tuple[Possible, ...]:
    """Every question that ``fedglmm_secure.study.guard`` lets through for this study, and no other."""
    last = max_sums(study)
    later = "sum 2" if last == 2 else f"sums 2 to {last}"
    asked: list[tuple[Question, str, str]] = [(Describe(), ALL, "sum 1")]
    asked += [(question, part, later) for question, part in _later(study)]
    return tuple(_possible(question, part, sums, study, site) for question, part, sums in asked)


def _later(study: Study) -> list[tuple[Question, str]]:
    """The questions about the model, about all its columns."""
    layout, model = study.layout, study.model
    columns, spread = tuple(range(len(layout.columns))), Pattern(layout.blocks).size
    description = (0.0,) * len(Description.slots(layout))
    if model.method == "pql":
        return [(WorkingDerivatives((0.0,) * (len(columns) + 1 + spread), columns, description), ALL)]
    theta = (0.0,) * (len(columns) + spread)
    parts = (ALL,) if study.validation is None else (ALL, TRAINING)
    asked: list[tuple[Question, str]] = [
        (MarginalDerivatives(theta, model.nodes, columns, description, part), part) for part in parts
    ]
    if study.validation is not None and isinstance(model.penalty, tuple):
        thetas = (theta,) * len(model.penalty)
        asked.append((HeldOutLikelihood(thetas, model.nodes, columns, description), VALIDATION))
    return asked


def _possible(question: Question, part: str, sums: str, study: Study, site: str) -> Possible:
    names = (COUNT_SLOT, *question.slots(study.layout))
    size = sum(len(encode_site(message)) for message in _messages(study, site, len(names)))
    return Possible(question.kind, question.meaning, _PARTS[part], sums, names, size)


def _messages(study: Study, site: str, numbers: int) -> tuple[SumReply, ...]:
    """Messages as long as those that this site sends for a sum of so many numbers, keys of a batch apart."""
    head, members = (bytes(DIGEST_BYTES), max_sums(study), site), tuple(entry.name for entry in study.sites)
    vector = bytes(numbers * ring.ELEMENT_BYTES)
    match scheme_of(study):
        case "masking with dropouts":
            sealed = tuple(bytes(0 if name == site else SEALED_BYTES) for name in members)
            return (
                Contribution(*head, vector, bytes(DIGEST_BYTES), sealed),
                Agreement(*head, members, bytes(SIGNATURE_BYTES)),
                Unmasking(*head, (bytes(SHARE_BYTES),) * len(members)),
            )
        case "paillier":
            bits = BITS if study.paillier is None else PublicKey.from_hex(study.paillier.modulus).bits
            ciphertexts = bytes(plaintexts_for(numbers, bits) * ((2 * bits + 7) // 8))
            return (
                Commitment(*head, bytes(DIGEST_BYTES), bytes(SIGNATURE_BYTES)),
                Opening(*head, bytes(NONCE_BYTES), ciphertexts),
                Decryption(*head, ciphertexts),
            )
        case _:
            return (Contribution(*head, vector),)
