"""The command ``fedglmm-site``: what its commands take. What they do is in ``steward``, ``joining`` and ``audit``."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.errors import RefusalError

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
    from fedglmm_site import steward  # noqa: PLC0415  loads pandas and scipy

    steward.check(
        study,
        data,
        keys=keys,
        site=site,
        policy=policy,
        approval=approval,
        passphrase_file=passphrase_file,
        everything=everything,
        machine=machine,
    )


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
    from fedglmm_site import steward  # noqa: PLC0415  loads pandas and scipy

    steward.approve(study, keys, data=data, policy=policy, out=out, passphrase_file=passphrase_file)


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
    from fedglmm_site import joining  # noqa: PLC0415  loads gRPC, pandas and scipy

    joining.join(
        study,
        data,
        keys,
        coordinator,
        out,
        policy=policy,
        approval=approval,
        share=share,
        passphrase_file=passphrase_file,
        timeout=timeout,
        quiet=quiet,
    )


@app.command("verify-log")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An audit log; audit.head must be beside it.")],
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="This site's keys: the log must be signed with them.")
    ] = None,
    passphrase_file: shell.PassphraseFile = None,
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
    data = shell.read_bytes(file, "an audit log")
    from fedglmm_site.audit import verify_log  # noqa: PLC0415  loads numpy and cryptography

    lines, head = verify_log(file, data)
    public = base64.b64encode(head.public_key).decode()
    if keys is not None and shell.read_identity(keys, passphrase_file).public_key != public:
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
