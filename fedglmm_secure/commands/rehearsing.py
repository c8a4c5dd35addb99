"""What ``fedglmm rehearse`` does: the fit, over either transport, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedglmm_secure import shell
from fedglmm_secure.commands import folder
from fedglmm_secure.commands.processes import rehearse_over_grpc
from fedglmm_secure.rehearsal import Weather, rehearse_in_memory
from fedglmm_secure.rehearsal.memory import check_tables
from fedglmm_secure.study import Study, parse_table


def over_grpc(
    study: Path,
    tables: Mapping[str, Path],
    out: Path,
    protocol: str | None,
    say: shell.Say,
    *,
    quiet: bool,
    debug: bool,
) -> str:
    """Rehearse in processes of their own; the result's summary."""
    given = _prepare(study, tables, out)
    return rehearse_over_grpc(given, tables, out, protocol, say, quiet=quiet, debug=debug)


def in_memory(
    study: Path, tables: Mapping[str, Path], out: Path, protocol: str | None, say: shell.Say, weather: int | None
) -> str:
    """Rehearse in this process, under the ``weather`` of a seed if there is one; the result's summary."""
    given = _prepare(study, tables, out)
    frames = {name: parse_table(str(path), shell.read_bytes(path, "a table")) for name, path in tables.items()}
    rehearsal = rehearse_in_memory(
        given,
        frames,
        protocol=protocol,
        report=lambda row: say(shell.progress_line(row)),
        weather=None if weather is None else Weather(weather),
    )
    folder.write(out, rehearsal)
    return rehearsal.result.summary() + (f"\n\n{rehearsal.weather}" if rehearsal.weather else "")


def _prepare(path: Path, tables: Mapping[str, Path], out: Path) -> Study:
    """The study, once there is a table for each of its sites and a folder for what they keep."""
    study = shell.read_study(path)
    check_tables(study, tables)
    folder.prepare(out, tables.values())
    return study
