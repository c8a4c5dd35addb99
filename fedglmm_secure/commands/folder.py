"""A rehearsal's folder: result.json, report.html, study.toml, sites/NAME/ and coordinator/."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError
from fedglmm_secure.rehearsal import Rehearsal
from fedglmm_secure.wire.records import journal_line, transcript_line

CONTENT = {"result.json", "report.html", "study.toml", "sites", "coordinator"}


def check(folder: Path, tables: Iterable[Path]) -> None:
    """InputError when the folder is there and holds anything but an earlier rehearsal, or holds a table."""
    present = _present(folder)
    earlier = shell.read_text(folder / "study.toml", "a study file") if "study.toml" in present else ""
    if present and (present - CONTENT or "rehearsal_of" not in earlier):
        raise InputError(f"{folder}: is not empty and holds no earlier rehearsal; choose another --out folder")
    for table in tables if present else ():
        if table.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"{table}: lies in the --out folder {folder}, which is emptied; move it, or choose another"
            )


def prepare(folder: Path) -> None:
    """Make the folder, or empty it of an earlier rehearsal."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _present(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _present(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


def write(folder: Path, rehearsal: Rehearsal) -> None:
    """What a rehearsal in memory leaves, in the files that the programs would have written."""
    from fedglmm_secure.report import result_page  # noqa: PLC0415  loads matplotlib

    (folder / "study.toml").write_text(rehearsal.study.to_toml(), encoding="utf-8")
    coordinator = folder / "coordinator"
    coordinator.mkdir()
    for home in (folder, coordinator):
        (home / "result.json").write_text(rehearsal.result.to_json(), encoding="utf-8")
        (home / "report.html").write_text(result_page(rehearsal.result), encoding="utf-8")
    with (coordinator / "transcript.jsonl").open("w", encoding="ascii") as transcript:
        transcript.writelines(transcript_line(0.0, site, message) for site, message in rehearsal.transcript)
    for name, report in rehearsal.reports.items():
        home = folder / "sites" / name
        home.mkdir(parents=True)
        (home / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (home / "journal.jsonl").write_bytes(b"".join(map(journal_line, rehearsal.journals[name])))
        for file, content in rehearsal.audits[name]().items():
            (home / file).write_bytes(content)
