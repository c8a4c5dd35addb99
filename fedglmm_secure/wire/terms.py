"""The terms of the secure sums, as every party reads them from its own copy of the study."""

from __future__ import annotations

from fedglmm_secure.securesum.session import EXCLUDE, PaillierTerms, Terms
from fedglmm_secure.study import Study


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
