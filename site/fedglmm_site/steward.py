"""What a site's steward does before its program joins: look at a study, and sign it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError
from fedglmm_secure.wire import approval as approvals
from fedglmm_secure.wire.certificates import coordinator_trust
from fedglmm_site.admission import SiteTable, site_of
from fedglmm_site.policy import read_policy
from fedglmm_site.preview import Asker, make_preview
from fedglmm_site.register import Register
from fedglmm_site.show import as_json, show


def check(
    study: Path,
    data: Path,
    *,
    keys: Path | None,
    site: str | None,
    policy: Path | None,
    approval: Path | None,
    passphrase_file: Path | None,
    everything: bool,
    machine: bool,
) -> None:
    """Print what joining would mean; raises the first error that ``join`` would end with."""
    given, own_policy = shell.read_study(study), read_policy(policy)
    identity = None if keys is None else (keys, shell.read_identity(keys, passphrase_file))
    if site is not None and site not in [entry.name for entry in given.sites]:
        raise InputError(f"--site {site}: is not in the study's roster; use one of its names, or --keys")
    preview = make_preview(given, study, data, Asker(own_policy, site, identity, approval))
    if machine:
        print(as_json(preview))
    else:
        show(preview, everything=everything)
    if preview.problems:
        raise preview.problems[0]


def approve(
    study: Path, keys: Path, *, data: Path | None, policy: Path | None, out: Path | None, passphrase_file: Path | None
) -> None:
    """Write the approval, once everything that can be checked without a coordinator is."""
    given, own_policy = shell.read_study(study), read_policy(policy)
    identity = shell.read_identity(keys, passphrase_file)
    name = site_of(given, identity, own_policy)
    coordinator_trust(given)
    if data is not None:
        table = SiteTable.read(data, given, name)
        table.check(given, name, own_policy)
        Register(keys).check(table.candidate(given), own_policy)
    approval = approvals.approve(given, name, identity.signing, datetime.now(UTC))
    file = out or approvals.approval_path(study, name)
    file.write_text(approval.to_toml(), encoding="utf-8")
    print(f"{name} approves study {given.study.id}, digest {given.hexdigest}\nsigned on {approval.date}: {file}")
