"""The command ``fedglmm-coordinator``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from fedglmm_coordinator.limits import take_all_files
from fedglmm_secure import shell
from fedglmm_secure.errors import InputError
from fedglmm_secure.wire.limits import CALL_SECONDS

LINGER_SECONDS = CALL_SECONDS + 15.0
"""How long the sites have to collect the end: by then a site has noticed a lost line, and tried another one."""

app = shell.make_app("Coordinate one study: sites connect to this program, which learns sums and nothing else.")


@app.callback()
def _program(version: shell.Version = False) -> None:
    """Coordinate one study: sites connect to this program, which learns sums and nothing else."""


@app.command()
def serve(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")],
    keys: Annotated[Path, typer.Option(metavar="DIR", help="Folder with the coordinator's keys.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")],
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.sqlite", help="What it goes on from if it is stopped [default: store.sqlite in --out]."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for result.json, report.html and transcript.jsonl [default: --store's]."
        ),
    ] = None,
    passphrase_file: shell.PassphraseFile = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.0, max=shell.LONGEST, metavar="SECONDS", help="Seconds without progress before it gives up."
        ),
    ] = 3600.0,
    patience: Annotated[
        float,
        typer.Option(
            min=1.0,
            max=shell.LONGEST,
            metavar="SECONDS",
            help="Seconds a sum waits for a site before it goes on without it, where the study allows.",
        ),
    ] = 60.0,
    linger: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=shell.LONGEST,
            metavar="SECONDS",
            help="Seconds at the end for sites that have not said that the result arrived.",
        ),
    ] = LINGER_SECONDS,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
    debug: shell.Debug = False,
) -> None:
    """Fit the study's model over the sites that join.

    Prints the address it listens at, then progress, then the result. What it has learned is on disk before it goes on:
    stopped by Ctrl-C, a crash or a power cut, the same command goes on at the last complete sum. A store holds one fit:
    once that is done, the same command gives its result again, and another fit needs another --store.

    \b
    Example:
      fedglmm-coordinator serve study.toml --keys keys --listen 0.0.0.0:7443 \\
        --store run1/fit.sqlite
    """
    if store is None and out is None:
        raise InputError("--store FILE.sqlite is missing: where the coordinator keeps what it must not lose; add it")
    from fedglmm_coordinator.service import serve_fit  # noqa: PLC0415  loads gRPC, pandas and scipy

    given, identity = shell.read_study(study), shell.read_identity(keys, passphrase_file)
    take_all_files(len(given.sites))
    folder = out if out is not None else cast("Path", store).parent
    folder.mkdir(parents=True, exist_ok=True)
    say = shell.speaker(quiet=quiet)
    shell.refuse_other_result(folder, given)
    stopped = serve_fit(
        given,
        identity,
        store or folder / "store.sqlite",
        folder,
        say,
        listen=listen,
        timeout=timeout,
        patience=patience,
        linger=linger,
    )
    if stopped:
        say("stopped; the same command goes on where it was")
        raise typer.Exit(shell.INTERRUPTED)


def main() -> None:
    """Run the command line."""
    shell.run(app, "fedglmm-coordinator")
