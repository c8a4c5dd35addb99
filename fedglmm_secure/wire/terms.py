"""The terms of the secure sums, as every party reads them from its own copy of the study."""

from __future__ import annotations

from fedglmm_secure.model.questions import Describe
from fedglmm_secure.ring import ELEMENT_BYTES
from fedglmm_secure.securesum.session import EXCLUDE, PaillierTerms, Terms
from fedglmm_secure.study import Study
from fedglmm_secure.study.disclosure import parameters
from fedglmm_secure.wire.limits import MAX_MESSAGE_BYTES

OTHER_BYTES = 2**16
"""More than names, keys, signatures and the sentence of a refusal take."""

MEMBER_BYTES = 2**11
"""More than what a message has for each site of the roster: 16 sealed shares, or a name."""


def terms_of(study: Study) -> Terms:
    """The study's protocol, digest, roster, cohort, number of sums and dropouts.

    Raises InputError for a roster without keys, and for terms that do not go together.
    """
    security, key = study.security, study.paillier
    starts = 1 + (security.dropouts if security.on_dropout == EXCLUDE else 0)
    return Terms(
        protocol=security.protocol,
        study_digest=study.digest,
        roster=study.roster(),
        minimum_sites=security.minimum_sites,
        max_sums=starts * max_sums(study),
        dropouts=security.dropouts,
        on_dropout=security.on_dropout,
        paillier=None if key is None else PaillierTerms(int(key.modulus, 16), key.threshold),
    )


def max_sums(study: Study) -> int:
    """The sums that a fit may take: a description, ``max_rounds`` a penalty; with validation one more and a refit."""
    penalties = len(study.model.penalty) if isinstance(study.model.penalty, tuple) else 1
    refits = 1 if study.validation else 0
    return 1 + refits + study.model.max_rounds * (penalties + refits)


def largest_message(study: Study) -> int:
    """Bytes that no message of a site has: by the numbers of the largest sum, their protection, and the roster."""
    layout, size, penalty = study.layout, 1 + parameters(study), study.model.penalty
    penalties = len(penalty) if isinstance(penalty, tuple) else 1
    numbers = 1 + max(len(Describe().slots(layout)), 1 + size + size * (size + 1) // 2, 1 + penalties)
    each = len(study.paillier.modulus) if study.paillier else ELEMENT_BYTES  # N^2 has a byte for each digit of N
    return min(MAX_MESSAGE_BYTES, OTHER_BYTES + numbers * each + len(study.sites) * MEMBER_BYTES)
