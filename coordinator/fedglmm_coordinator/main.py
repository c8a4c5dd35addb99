"""The command ``fedglmm-coordinator``."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_coordinator.server import Exchange, start_server
from fedglmm_coordinator.session import Session
from fedglmm_coordinator.transcript import Transcript
from fedglmm_secure import shell
from fedglmm_secure.errors import LinkError
from fedglmm_secure.estimate import FitResult, estimator
from fedglmm_secure.wire.messages import Finished

CLOSING_SECONDS = 15.0
"""How long the sites have to collect the end: a site that computes will come back with its contribution."""

app = shell.make_app("Coordinate one study: sites connect to this program, which learns sums and nothing else.")


@app.callback()
def _program() -> None:
    """Coordinate one study: sites connect to this program, which learns sums and nothing else."""


@app.command()
def serve(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")],
    keys: Annotated[Path, typer.Option(metavar="DIR", help="Folder with the coordinator's keys.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for result.json, report.html and transcript.jsonl.")],
    timeout: Annotated[float, typer.Option(help="Seconds without progress before it gives up.")] = 3600.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
    debug: shell.Debug = False,
) -> None:
    """Fit the study's model over the sites that join.

    Prints the address it listens at, then progress, then the result. Ctrl-C stops the fit and tells the sites.

    Example: fedglmm-coordinator serve study.toml --keys keys --listen 0.0.0.0:7443 --out run1
    """
    if asyncio.run(_serve(study, keys, listen, out, timeout, shell.speaker(quiet=quiet))):
        raise typer.Exit(shell.INTERRUPTED)


def main() -> None:
    """Run the command line."""
    shell.run(app, "fedglmm-coordinator")


async def _serve(study_path: Path, keys: Path, listen: str, out: Path, timeout: float, say: shell.Say) -> bool:
    """Serve one fit; whether it was interrupted. Raises the error that ended it."""
    study, identity = shell.read_study(study_path), shell.read_identity(keys)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    results: list[FitResult] = []

    def keep(result: FitResult, sent: Counter[str]) -> str:
        secured = result.secured(study.security.protocol, dict(sent), time.monotonic() - started)
        text = secured.to_json()
        (out / "result.json").write_text(text, encoding="utf-8")
        results.append(secured)
        return text

    fit = estimator(study, lambda row: say(shell.progress_line(row)))
    session = Session(study, fit, randomness=secrets.token_bytes, keep=keep, say=say)
    interrupts = _stop_on_signals(session)
    with Transcript(out / "transcript.jsonl", time.time) as transcript:
        server, address = await start_server(Exchange(study, session, transcript), study, identity, listen)
        print(f"listening on {address}", flush=True)
        end = await session.run(timeout)
        await session.wait_until_told(CLOSING_SECONDS)
        await server.stop(grace=1.0)
    if not isinstance(end, Finished) and not interrupts:
        raise end.error
    for result in results:
        from fedglmm_secure.report import result_page  # noqa: PLC0415  loads matplotlib

        print(result.summary(), flush=True)
        (out / "report.html").write_text(result_page(result), encoding="utf-8")
    return bool(interrupts)


def _stop_on_signals(session: Session) -> list[int]:
    """Stop the session on Ctrl-C and SIGTERM; the list fills with the signals that came."""
    came: list[int] = []

    def stop(number: int) -> None:
        came.append(number)
        session.stop(LinkError("the coordinator was stopped by its operator; ask for a new start"))

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return came
