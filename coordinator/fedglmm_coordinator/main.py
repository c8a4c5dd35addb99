"""The command `fedglmm-coordinator`."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_coordinator.keys import read_identity
from fedglmm_coordinator.server import Exchange, start_server
from fedglmm_coordinator.session import Session
from fedglmm_coordinator.store.transcript import Transcript
from fedglmm_secure.errors import FedglmmError, InputError, LinkError
from fedglmm_secure.estimate import FitResult, TraceRow, estimator
from fedglmm_secure.study import Study
from fedglmm_secure.wire.messages import Finished

INTERRUPTED = 130
CLOSING_SECONDS = 15.0
"""How long the sites have to collect the end: a site that computes will come back with its contribution."""


@dataclass(frozen=True)
class Options:
    """What the operator chose."""

    study: Path
    keys: Path
    listen: str
    out: Path
    timeout: float
    say: Callable[[str], None]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def _program() -> None:
    """Coordinate one study: the sites connect to this program, which learns sums and nothing else."""


@app.command()
def serve(  # noqa: PLR0917  the options of the command line
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")],
    keys: Annotated[Path, typer.Option(help="Folder with the coordinator's keys.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0: a free one.")],
    out: Annotated[Path, typer.Option(help="Folder for result.json and transcript.jsonl.")],
    timeout: Annotated[float, typer.Option(help="Seconds without progress before it gives up.")] = 3600.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Fit the study's model over the sites that join."""
    options = Options(study, keys, listen, out, timeout, _silent if quiet else _say)
    try:
        interrupted = asyncio.run(_serve(options))
    except FedglmmError as error:
        if debug:
            traceback.print_exc()
        print(f"fedglmm-coordinator: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def main() -> None:
    """Run the command line."""
    app(prog_name="fedglmm-coordinator")


async def _serve(options: Options) -> bool:
    """Serve one fit; whether it was interrupted. Raises the error that ended it."""
    study, identity = _read_study(options.study), read_identity(options.keys)
    options.out.mkdir(parents=True, exist_ok=True)
    fit = estimator(study, lambda row: options.say(_row(row)))
    keep = _keeper(study, options, started=time.monotonic())
    session = Session(study, fit, randomness=secrets.token_bytes, keep=keep, say=options.say)
    interrupts = _stop_on_signals(session)
    with Transcript(options.out / "transcript.jsonl", time.time) as transcript:
        exchange = Exchange(study, session, transcript)
        server, address = await start_server(exchange, study, identity, options.listen)
        print(f"listening on {address}", flush=True)
        end = await session.run(options.timeout)
        await session.wait_until_told(CLOSING_SECONDS)
        await server.stop(grace=1.0)
    if not isinstance(end, Finished) and not interrupts:
        raise end.error
    return bool(interrupts)


def _keeper(study: Study, options: Options, started: float) -> Callable[[FitResult, Counter[str]], str]:
    """What stores a result in result.json and returns its text."""

    def keep(result: FitResult, sent: Counter[str]) -> str:
        seconds = time.monotonic() - started
        secured = result.secured(
            protocol=study.security.protocol, bytes_sent_by_site=dict(sent), seconds=seconds
        )
        text, path = secured.to_json(), options.out / "result.json"
        path.write_text(text, encoding="utf-8")
        options.say(f"\n{secured.summary()}\n\nresult: {path}")
        return text

    return keep


def _read_study(path: Path) -> Study:
    try:
        return Study.parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a study file ({error}); check the path") from error


def _stop_on_signals(session: Session) -> list[int]:
    """Stop the session on Ctrl-C and SIGTERM; the list fills with the signals that came."""
    came: list[int] = []

    def stop(number: int) -> None:
        came.append(number)
        session.stop(LinkError("the coordinator was stopped by its operator; ask for a new start"))

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return came


def _row(row: TraceRow) -> str:
    text = f"sum {row.sum}: {row.question}"
    if row.log_likelihood is not None:
        text += f", log-likelihood {row.log_likelihood:.6f}"
    if row.decrement is not None:
        text += f", decrement {row.decrement:.3g}"
    return text


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    pass
