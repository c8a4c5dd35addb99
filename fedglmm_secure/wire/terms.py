"""The terms of the secure sums, as every party reads them from its own copy of the study."""

from __future__ import annotations

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum.session import Terms
from fedglmm_secure.study import Study


def terms_of(study: Study) -> Terms:
    """The study's protocol, digest, roster, cohort and number of sums.

    Raises InputError for a roster without keys, for ``dropouts`` other than 0 and for threshold Paillier.
    """
    if study.security.protocol == "paillier":
        raise InputError(
            'security.protocol: a fit with protocol = "paillier" is not available in this version; use "masking"'
        )
    if study.security.dropouts != 0:
        raise InputError(
            f"the study's dropouts = {study.security.dropouts} needs sums that survive a lost site, which "
            "this version does not have; set dropouts = 0"
        )
    return Terms(
        protocol=study.security.protocol,
        study_digest=study.digest,
        roster=study.roster(),
        minimum_sites=study.security.minimum_sites,
        max_sums=max_sums(study),
    )


def max_sums(study: Study) -> int:
    """The sums that a fit may take: a description, ``max_rounds`` a penalty; with validation one more and a refit."""
    penalties = len(study.model.penalty) if isinstance(study.model.penalty, tuple) else 1
    refits = 1 if study.validation else 0
    return 1 + refits + study.model.max_rounds * (penalties + refits)
