"""A site's approval of a study: its signature over the study's digest, its own name and the date.

Beside the signature stands the study as it was approved, so that a site which refuses a changed study can say what
changed. That copy needs no signature: it is believed only if its digest is the one that was signed.
"""

from __future__ import annotations

import base64
import binascii
import tomllib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from fedglmm_secure.errors import FedglmmError, InputError, PeerError, RefusalError
from fedglmm_secure.securesum import SigningIdentity, labels
from fedglmm_secure.securesum.identity import verify
from fedglmm_secure.study import Study
from fedglmm_secure.study.changes import changes

FORMAT = "fedglmm-approval/1"
_MOST_CHANGES = 3
"""Changes that a sentence lists; the others are counted."""


@dataclass(frozen=True)
class Approval:
    """What the approval file holds."""

    format: str
    site: str
    date: str
    """ISO 8601 in UTC."""
    digest: str
    """64 hexadecimal digits."""
    public_key: str
    """Base64 of the Ed25519 key that signed."""
    signature: str
    """Base64 of 64 bytes."""
    study: str
    """The study file that was approved, defaults written out."""

    def to_toml(self) -> str:
        """The approval file."""
        return tomli_w.dumps(asdict(self), multiline_strings=True)


def approval_path(study: Path, site: str) -> Path:
    """Where the approval of the study file ``study`` by ``site`` is kept: beside it."""
    return study.with_name(f"{study.stem}.{site}.approval.toml")


def approve(study: Study, site: str, signing: SigningIdentity, now: datetime) -> Approval:
    """Sign ``study`` for ``site`` at the time ``now``."""
    date = now.isoformat(timespec="seconds")
    signature = signing.sign(labels.APPROVAL, study.digest, site, date)
    return Approval(FORMAT, site, date, study.hexdigest, _text(signing.public_bytes), _text(signature), study.to_toml())


def parse_approval(text: str, source: str) -> Approval:
    """The approval in a file; InputError when it is none."""
    try:
        fields: dict[str, Any] = tomllib.loads(text)
        approval = Approval(**fields)
        if approval.format != FORMAT or not all(isinstance(value, str) for value in fields.values()):
            raise ValueError(f"its format is not {FORMAT}")
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"{source}: is not a study's approval; make one with `fedglmm-site approve`") from None
    return approval


def check_approval(approval: Approval, study: Study, site: str, public_key: bytes, source: str) -> None:
    """Raise RefusalError unless ``site``, whose key is ``public_key``, approved exactly this study.

    (1) it is this site's; (2) signed by this site's key; (3) for this digest, else the sentence says what changed.
    """
    again = "look at the study with `fedglmm-site check`, then approve it with `fedglmm-site approve`"
    if approval.site != site or approval.public_key != _text(public_key):  # (1)
        raise RefusalError(f"{source}: is an approval by another site or another key than {site}'s own; {again}")
    try:  # (2)
        digest, signature = bytes.fromhex(approval.digest), base64.b64decode(approval.signature, validate=True)
        if _text(signature) != approval.signature:  # base64 leaves bits that say nothing: they are not free to change
            raise ValueError("its signature is not in its one form")
        verify(site, public_key, signature, labels.APPROVAL, digest, site, approval.date)
    except (PeerError, ValueError, binascii.Error):
        raise RefusalError(f"{source}: its signature is not by {site}'s key, or it was edited; {again}") from None
    if digest != study.digest:  # (3)
        raise RefusalError(
            f"the study has changed since it was approved on {approval.date} {_how(approval, study)}; {again}"
        )


def _how(approval: Approval, study: Study) -> str:
    """What changed, in brackets: only a copy whose digest was signed is worth comparing with."""
    try:
        approved = Study.parse(approval.study, "the approved copy")
    except FedglmmError:
        approved = study
    if approved.hexdigest != approval.digest:
        return f"(its digest was {approval.digest[:16]} and is {study.hexdigest[:16]})"
    found = changes(approved, study)
    more = f"; and {len(found) - _MOST_CHANGES} more" if len(found) > _MOST_CHANGES else ""
    return f"({'; '.join(found[:_MOST_CHANGES])}{more})"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
