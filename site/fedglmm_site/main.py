"""The command `fedglmm-site`."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure.errors import FedglmmError, InputError
from fedglmm_secure.model.design import Design
from fedglmm_secure.securesum import Site
from fedglmm_secure.study import Study
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.agent import Agent
from fedglmm_site.journal import Journal
from fedglmm_site.keys import read_identity
from fedglmm_site.link import Link
from fedglmm_site.policy import read_policy
from fedglmm_site.table import read_design

INTERRUPTED = 130


@dataclass(frozen=True)
class Options:
    """What the operator chose."""

    study: Path
    data: Path
    keys: Path
    coordinator: str
    out: Path
    policy: Path | None
    timeout: float
    say: Callable[[str], None]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def _program() -> None:
    """Take part in a study with this site's own table, which stays here."""


@app.command()
def join(  # noqa: PLR0917  the options of the command line
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study that this site approved.")],
    data: Annotated[Path, typer.Option(metavar="TABLE", help="This site's table, .csv or .parquet.")],
    keys: Annotated[Path, typer.Option(help="Folder with this site's keys.")],
    coordinator: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the coordinator listens.")],
    out: Annotated[Path, typer.Option(help="Folder for the journal and local report.")] = Path(
        "fedglmm-site"
    ),
    policy: Annotated[Path | None, typer.Option(help="This site's own policy (TOML).")] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds without the coordinator before giving up.")
    ] = 3600.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No output but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Join the study's fit and answer its questions until the result is there."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say = _silent if quiet else _say
    try:
        line = _join(Options(study, data, keys, coordinator, out, policy, timeout, say))
    except FedglmmError as error:
        if debug:
            traceback.print_exc()
        print(f"fedglmm-site: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if not quiet:
        print(line)


def main() -> None:
    """Run the command line."""
    app(prog_name="fedglmm-site")


def _join(options: Options) -> str:
    """Take part in one fit; what to print at its end."""
    study, identity, policy = (
        _read_study(options.study),
        read_identity(options.keys),
        read_policy(options.policy),
    )
    pinned = _pinned_certificate(study, options.study)
    options.out.mkdir(parents=True, exist_ok=True)
    with Journal(options.out / "journal.jsonl") as journal:
        site = Site(terms_of(study), identity.signing, policy, secrets.token_bytes, journal.records)
        design = read_design(study, site.name, options.data)
        link = Link(
            options.coordinator, pinned=pinned, keys=options.keys, timeout=options.timeout, say=options.say
        )
        with contextlib.closing(link):
            Agent(study, design, site, link=link, journal=journal, say=options.say).run()
    report = json.dumps(local_report(study, site, design), indent=2) + "\n"
    (options.out / "report.json").write_text(report, encoding="utf-8")
    return f"{site.name}: {design.rows} rows used, {site.sums} sums answered; report and journal: {options.out}"


def local_report(study: Study, site: Site, design: Design) -> dict[str, object]:
    """What this site keeps for itself about its part in the fit."""
    return {
        "format": "fedglmm-site-report/1",
        "site": site.name,
        "study": {"id": study.study.id, "digest": study.hexdigest},
        "rows": design.rows,
        "rows_dropped": design.dropped,
        "groups": design.groups,
        "sums_answered": site.sums,
    }


def _read_study(path: Path) -> Study:
    try:
        return Study.parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a study file ({error}); check the path") from error


def _pinned_certificate(study: Study, path: Path) -> str:
    if study.coordinator.certificate is None:
        raise InputError(
            f"{path} has no coordinator certificate; the study's author adds it under [coordinator]"
        )
    return study.coordinator.certificate


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    pass
