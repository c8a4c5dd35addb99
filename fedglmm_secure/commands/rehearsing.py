"""What ``fedglmm rehearse`` does: the fit, over either transport, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

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
    given, _ = _prepare(study, tables, out)
    return rehearse_over_grpc(given, tables, out, protocol, say, quiet=quiet, debug=debug)


def in_memory(
    study: Path, tables: Mapping[str, Path], out: Path, protocol: str | None, say: shell.Say, weather: int | None
) -> str:
    """Rehearse in this process, under the ``weather`` of a seed if there is one; the result's summary."""
    given, frames = _prepare(study, tables, out)
    rehearsal = rehearse_in_memory(
        given,
        frames,
        protocol=protocol,
        report=lambda row: say(shell.progress_line(row)),
        weather=None if weather is None else Weather(weather),
    )
    folder.write(out, rehearsal)
    return rehearsal.result.summary() + (f"\n\n{rehearsal.weather}" if rehearsal.weather else "")


def _prepare(path: Path, tables: Mapping[str, Path], out: Path) -> tuple[Study, dict[str, pd.DataFrame]]:
    """The study and its sites' tables, once these are known to fit, and then a folder for what the sites keep.

    An earlier rehearsal is not lost to a table that cannot be read.
    """
    study = shell.read_study(path)
    check_tables(study, tables)
    folder.check(out, tables.values())
    frames = {name: parse_table(str(file), shell.read_bytes(file, "a table")) for name, file in tables.items()}
    for name, frame in frames.items():
        study.design(frame, name, str(tables[name]))
    folder.prepare(out)
    return study, frames
