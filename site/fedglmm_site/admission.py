"""What must hold before a site says its first word: the same checks for ``check``, ``approve`` and ``join``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from fedglmm_secure import shell
from fedglmm_secure.errors import RefusalError
from fedglmm_secure.study import Study, parse_table
from fedglmm_secure.study.disclosure import check_local
from fedglmm_secure.study.split import DividableDesign
from fedglmm_secure.wire.approval import approval_path, check_approval, parse_approval
from fedglmm_secure.wire.certificates import out_of_date, site_trusts
from fedglmm_secure.wire.identity import Identity, certificate_der
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.policy import Policy
from fedglmm_site.register import Candidate


def site_of(study: Study, identity: Identity, policy: Policy) -> str:
    """The name that the roster has for this site, once policy and roster allow the study; RefusalError otherwise."""
    policy.check(study)  # (rule a)
    terms = terms_of(study)
    policy.for_sums().check(terms)
    name = terms.name_of(identity.signing.public_bytes)  # (rule 5)
    own = certificate_der(identity.certificate_pem)
    if not site_trusts(study)[name].knows(own):  # (rule 5)
        raise RefusalError(
            f"the certificate in --keys is not the one that the study's roster has for {name}; join with the keys "
            "whose public.toml is in the study"
        )
    if fault := out_of_date(own, datetime.now(UTC)):  # (rule 5)
        raise RefusalError(f"this site's certificate in --keys {fault}; renew it")
    return name


def require_approval(study: Study, path: Path, approval: Path | None, site: str, identity: Identity) -> None:
    """Raise RefusalError unless this site approved this very study."""
    file = approval or approval_path(path, site)
    if not file.exists():
        raise RefusalError(
            f"{site} has not approved {path} (there is no {file}); look at it with `fedglmm-site check`, then run "
            f"`fedglmm-site approve {path} --keys DIR`"
        )
    given = parse_approval(shell.read_text(file, "an approval"), str(file))
    check_approval(given, study, site, identity.signing.public_bytes, str(file))  # (rule b)


@dataclass(frozen=True)
class SiteTable:
    """A site's table as it was read, and the design that the study makes of it. Its ``repr`` hides it."""

    content: bytes = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    design: DividableDesign

    @classmethod
    def read(cls, path: Path, study: Study, site: str) -> SiteTable:
        """The table in a file; TableError when it does not fit the study."""
        content, frame = read_frame(path)
        return cls(content, frame, study.design(frame, site, str(path)))  # (rule 6)

    def check(self, study: Study, site: str, policy: Policy) -> None:
        """Raise RefusalError for a disclosure check, as strict as the policy, that this site knows to fail."""
        check_local(policy.tighten(study), self.design, site)

    def candidate(self, study: Study) -> Candidate:
        """A run of the study over this table, for the register."""
        return Candidate.of(study, self.content, self.frame)


def read_frame(path: Path) -> tuple[bytes, pd.DataFrame]:
    """The content of a table file, and the table in it."""
    content = shell.read_bytes(path, "a table")
    return content, parse_table(path.name, content)
