"""``fedglmm rehearse``: a study on this machine, with the very programs that hospitals run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError


class Transport(StrEnum):
    """How messages travel in a rehearsal."""

    GRPC = "grpc"
    MEMORY = "memory"


class Protocol(StrEnum):
    """What protects a contribution."""

    MASKING = "masking"
    PAILLIER = "paillier"
    PLAIN = "plain"


def rehearse(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")],
    site: Annotated[list[str], typer.Option(metavar="NAME=TABLE", help="A site and its table, .csv or .parquet.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the result and what each party kept.")],
    transport: Annotated[
        Transport, typer.Option(help="Real processes and TLS, or all in one process.")
    ] = Transport.GRPC,
    protocol: Annotated[Protocol | None, typer.Option(help="Instead of the study's own.")] = None,
    weather: Annotated[
        int | None, typer.Option(metavar="SEED", min=0, help="A bad network, with --transport memory.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
    debug: shell.Debug = False,
) -> None:
    """Run a study on this machine, each site with its own table.

    With --transport grpc, the default, one coordinator process and one process a site speak gRPC with mutual TLS on
    loopback, as they would between hospitals. Every site gets a throw-away identity. DIR then holds result.json, the
    page report.html, the study as it was run, what each site kept (sites/NAME/) and every byte that the coordinator
    received (coordinator/transcript.jsonl).

    With --transport memory --weather SEED, messages are lost, delayed, doubled, damaged and replayed and sites are
    killed and started again, the same for the same SEED; the answer is compared with that of an undisturbed fit.

    \b
    Example:
      fedglmm rehearse study.toml --site north=north.csv \\
        --site south=south.csv --site west=west.csv --out run1
    """
    tables = _tables(site)
    if weather is not None and transport is not Transport.MEMORY:
        raise InputError("--weather needs a network that can be disturbed; add --transport memory")
    from fedglmm_secure.commands import rehearsing  # noqa: PLC0415  loads pandas and scipy

    say, chosen = shell.speaker(quiet=quiet), protocol.value if protocol else None
    if transport is Transport.GRPC:
        summary = rehearsing.over_grpc(study, tables, out, chosen, say, quiet=quiet, debug=debug)
    else:
        summary = rehearsing.in_memory(study, tables, out, chosen, say, weather)
    print(f"{summary}\n\nresult: {out / 'result.json'}\nreport: {out / 'report.html'}")
    print(f"what each party kept: {out / 'sites'}, {out / 'coordinator'}")


def _tables(options: list[str]) -> dict[str, Path]:
    """NAME=TABLE options as a mapping; InputError for another form or a name that comes twice."""
    tables: dict[str, Path] = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not (name and equals and path):
            raise InputError(f"--site {option}: write NAME=TABLE, such as --site north=north.csv")
        if name in tables:
            raise InputError(f"--site {name} is given twice; give each site one table")
        tables[name] = Path(path)
        if not tables[name].is_file():
            raise InputError(f"--site {name}: there is no file {path}; check the path")
    return tables
