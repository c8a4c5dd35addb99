"""What a site does to take part: everything is checked before the first byte leaves, and kept before it is told."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from fedglmm_secure import shell
from fedglmm_secure.errors import FedglmmError
from fedglmm_secure.estimate.local import local_report
from fedglmm_secure.model.design import Design
from fedglmm_secure.study import Study
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire.certificates import coordinator_trust
from fedglmm_secure.wire.identity import certificate_der
from fedglmm_secure.wire.messages import Finished
from fedglmm_site.admission import SiteTable, require_approval, site_of
from fedglmm_site.audit import AuditLog, refuse_lost_log
from fedglmm_site.disk import replace
from fedglmm_site.journal import SeedFile
from fedglmm_site.link import Link
from fedglmm_site.participation import Participation
from fedglmm_site.policy import read_policy
from fedglmm_site.register import Register


def join(
    study: Path,
    data: Path,
    keys: Path,
    coordinator: str,
    out: Path,
    *,
    policy: Path | None,
    approval: Path | None,
    share: Path | None,
    passphrase_file: Path | None,
    timeout: float,
    quiet: bool,
) -> None:
    """Return when the result is there; raises the error that ended the fit."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say = shell.speaker(quiet=quiet)
    approved, identity, own_policy = (  # (rules 1 and 2)
        shell.read_study(study),
        shell.read_identity(keys, passphrase_file),
        read_policy(policy),
    )
    name = site_of(approved, identity, own_policy)
    pinned = coordinator_trust(approved)  # (rule 7)
    require_approval(approved, study, approval, name, identity)
    table = SiteTable.read(data, approved, name)
    judged = own_policy.tighten(approved)
    rows = SiteRows(judged, table.design, name)
    own_share = shell.read_share(share or keys / shell.SHARE, identity, approved) if approved.paillier else None
    participation = Participation(
        approved, judged, rows, identity.signing, own_policy.for_sums(), secrets.token_bytes, own_share, table.content
    )
    register, candidate = Register(keys), table.candidate(approved)
    register.check(candidate, own_policy)
    out.mkdir(parents=True, exist_ok=True)
    refuse_lost_log(out)  # (rule f)
    shell.refuse_other_result(out, approved)
    SeedFile(out, approved.digest).refuse_other()
    with contextlib.ExitStack() as stack:
        stack.enter_context(register.alone(approved))
        audit = stack.enter_context(
            AuditLog(
                out, study_digest=approved.digest, site=name, signing=identity.signing, peer=certificate_der(pinned.pem)
            )
        )
        link = Link(coordinator, pinned=pinned, keys=keys, identity=identity, timeout=timeout, say=say, audit=audit)
        stack.enter_context(contextlib.closing(link))
        stack.enter_context(register.run(candidate, own_policy, datetime.now(UTC)))
        with _noted(audit, approved.study.id, say):
            keep = partial(_keep, out, approved, name, table.design)
            sums = participation.take_part(out, link, keep, say)
    if not quiet:
        print(
            f"{name}: {table.design.rows} rows used, {sums} sums answered; result, report, journal and audit log "
            f"in {out}"
        )


def _keep(out: Path, study: Study, name: str, design: Design, finished: Finished, sums: int) -> None:
    """Return when the result, and what this site computes from it for itself, are on disk."""
    report = local_report(study, name, design, sums, finished.result_json)
    replace(out / "result.json", finished.result_json.encode())
    replace(out / "report.json", f"{json.dumps(report, indent=2)}\n".encode())


@contextlib.contextmanager
def _noted(audit: AuditLog, study: str, say: shell.Say) -> Iterator[None]:
    """Write down the start of a run, and how it ended."""
    audit.note("joined", study_id=study)
    how = "failed"
    try:
        yield
        how = "the result is there"
    except FedglmmError as error:
        how = str(error)
        raise
    except KeyboardInterrupt:
        how = "stopped by its operator"
        say("stopped; the same command goes on where it was")
        raise
    finally:
        audit.note("left", text=how)
