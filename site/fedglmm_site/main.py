"""The command ``fedglmm-site``."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.errors import FedglmmError, InputError, RefusalError
from fedglmm_secure.estimate.local import local_report
from fedglmm_secure.model.design import Design
from fedglmm_secure.study import Study
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire import approval as approvals
from fedglmm_secure.wire.certificates import coordinator_trust
from fedglmm_secure.wire.identity import certificate_der
from fedglmm_secure.wire.messages import Finished
from fedglmm_site.admission import SiteTable, require_approval, site_of
from fedglmm_site.audit import AuditLog, refuse_lost_log, verify_log
from fedglmm_site.disk import replace
from fedglmm_site.link import Link
from fedglmm_site.participation import Participation
from fedglmm_site.policy import read_policy
from fedglmm_site.preview import Asker, make_preview
from fedglmm_site.register import Register
from fedglmm_site.show import as_json, show

app = shell.make_app("Take part in a study with this site's own table, which stays here.")

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]
Data = Annotated[Path, typer.Option(metavar="TABLE", help="This site's table, .csv or .parquet.")]
Keys = Annotated[Path, typer.Option(metavar="DIR", help="Folder with this site's keys.")]
PolicyFile = Annotated[Path | None, typer.Option(metavar="FILE", help="This site's own policy (TOML).")]
ApprovalFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The approval; by default STUDY.NAME.approval.toml beside the study."),
]


@app.callback()
def _program(version: shell.Version = False) -> None:
    """Take part in a study with this site's own table, which stays here.

    First `check`, then `approve`, then `join`. Nothing connects to a network but `join`, which opens no port.
    """


@app.command()
def check(
    study: StudyFile,
    data: Data,
    keys: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with this site's keys.")] = None,
    site: Annotated[
        str | None, typer.Option(metavar="NAME", help="This site's name, where it has no keys yet.")
    ] = None,
    policy: PolicyFile = None,
    approval: ApprovalFile = None,
    passphrase_file: shell.PassphraseFile = None,
    everything: Annotated[bool, typer.Option("--all", help="Name every number that may leave.")] = False,
    machine: Annotated[bool, typer.Option("--json", help="The same as JSON, for programs.")] = False,
    debug: shell.Debug = False,
) -> None:
    """Show what joining a study would mean.

    Its terms, each column and check, and exactly what would leave. Uses no network and writes nothing. Ends with 0 if
    `join` would be allowed once the study is approved; else with the sentence and the exit code that `join` would end
    with. With --keys, the roster and the register of earlier studies are looked at too.

    \b
    Example:
      fedglmm-site check study.toml --data patients.csv --keys keys
    """
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


@app.command()
def approve(
    study: StudyFile,
    keys: Keys,
    data: Annotated[Path | None, typer.Option(metavar="TABLE", help="Check this table too before signing.")] = None,
    policy: PolicyFile = None,
    out: ApprovalFile = None,
    passphrase_file: shell.PassphraseFile = None,
    debug: shell.Debug = False,
) -> None:
    """Sign a study's digest for this site.

    `join` takes part in nothing else. The approval is a file beside the study, STUDY.NAME.approval.toml, with the
    signature and a copy of the study as it was approved. Any later change of the study, but for comments and layout,
    asks for a new one. A study outside the policy is not signed; look at it with `check` first.

    \b
    Example:
      fedglmm-site approve study.toml --keys keys --policy policy.toml
    """
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


@app.command()
def join(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file that this site approved.")],
    data: Data,
    keys: Keys,
    coordinator: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the coordinator listens.")],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder for the journal, the audit log, the result and the local report."),
    ] = Path("fedglmm-site"),
    policy: PolicyFile = None,
    approval: ApprovalFile = None,
    share: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="This site's Paillier key share [default: paillier.share in --keys]."),
    ] = None,
    passphrase_file: shell.PassphraseFile = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.0, max=shell.LONGEST, metavar="SECONDS", help="Seconds without the coordinator before it gives up."
        ),
    ] = 3600.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No output but errors.")] = False,
    debug: shell.Debug = False,
) -> None:
    """Join a study's fit, until its result is there.

    Everything is checked before the first byte leaves: the study, its approval, the policy, the keys, the table, and
    the register of earlier studies (register.jsonl, kept with the keys). The connection goes out from here; no port
    is opened. Every message in and out stands in DIR/audit.log.

    \b
    Example:
      fedglmm-site join study.toml --data patients.csv --keys keys \\
        --coordinator fit.example.org:7443
    """
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


@app.command("verify-log")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An audit log; audit.head must be beside it.")],
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="This site's keys: the log must be signed with them.")
    ] = None,
    debug: shell.Debug = False,
) -> None:
    """Check that an audit log is whole.

    That is, that no line was changed, deleted, inserted, moved or cut off.

    Each line holds the SHA-256 of the line before it; audit.head holds the signed end. Ends with 0 for a whole log,
    3 for one that was changed (the sentence names the line), 2 if the file cannot be read.

    \b
    Example:
      fedglmm-site verify-log fedglmm-site/audit.log --keys keys
    """
    lines, head = verify_log(file, shell.read_bytes(file, "an audit log"))
    public = base64.b64encode(head.public_key).decode()
    if keys is not None and shell.read_identity(keys).public_key != public:
        raise RefusalError(f"{file}: is signed with the key {public}, which is not the one in {keys}")
    sent, received = (sum(line.direction == way for line in lines) for way in ("sent", "received"))
    print(
        f"{file}: whole; {len(lines)} lines from {lines[0].time} to {lines[-1].time}, {sent} messages sent, {received} "
        f"received\nsigned with the key {public}"
        + (f", which is that of {keys}" if keys else "; compare it, or give --keys")
    )


def main() -> None:
    """Run the command line."""
    shell.run(app, "fedglmm-site")


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
