"""A bad network from the command line: the user's own study, and the evaluation of hostile schedules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "indomethacin"
FEDGLMM = Path(sys.executable).parent / "fedglmm"
SITES = [f"--site={table.stem}={table}" for table in sorted((EXAMPLE / "sites").glob("*.csv"))]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, check=False)


def test_a_study_is_rehearsed_under_a_bad_network(tmp_path: Path) -> None:
    options = ("--transport", "memory", "--weather", "3", "--quiet")
    ended = run(FEDGLMM, "rehearse", EXAMPLE / "study.toml", *SITES, "--out", tmp_path / "run", *options)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^weather 3: \d+ messages? lost, .* to the last bit$", ended.stdout, re.MULTILINE)
    assert "-217.62762" in ended.stdout


def test_weather_needs_a_network_in_memory(tmp_path: Path) -> None:
    ended = run(FEDGLMM, "rehearse", EXAMPLE / "study.toml", *SITES, "--out", tmp_path / "run", "--weather", "3")
    assert ended.returncode == 2
    assert ended.stderr == "fedglmm: --weather needs a network that can be disturbed; add --transport memory\n"
    assert not (tmp_path / "run").exists()


def test_the_evaluation_runs_schedules_and_counts_how_they_end() -> None:
    ended = run(sys.executable, ROOT / "evaluation" / "security" / "hostile.py", "--schedules", 6, "--from", 500)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("6 schedules, 0 with a violation\n")
    rows = re.findall(r"^(?:masking|paillier|plain)[^\d]*((?:\d+ +){6})", ended.stdout, re.MULTILINE)
    assert sum(int(count) for row in rows for count in row.split()) == 6
