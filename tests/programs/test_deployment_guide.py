"""docs/deployment.md, run as it is written: the trial's answer, and four audit logs that verify."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "deployment.md"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A place like the repository's root after `make install`."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "deployment").mkdir()
    return tmp_path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_the_complete_example(checkout: Path) -> None:
    commands = re.findall(r"^    ((?:\.venv|cp|wait).*)$", GUIDE.read_text(), re.MULTILINE)
    assert len(commands) == 36
    script = "\n".join(["set -e", *commands]).replace("7443", str(free_port()))
    ran = subprocess.run(["bash", "-c", script], cwd=checkout, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    result = json.loads((checkout / "deployment" / "coordinator" / "result.json").read_text())
    assert result["log_likelihood"] == pytest.approx(-217.627625, abs=1e-5)  # lme4 1.1-31, nAGQ = 9
    assert result["n_sites"] == 4
    assert ran.stdout.count("audit.log: whole;") == 4
    assert (checkout / "deployment" / "coordinator" / "report.html").exists()
    for site in ("1_UM", "2_IU", "3_UK", "4_Case"):
        assert json.loads((checkout / "deployment" / site / "run" / "result.json").read_text()) == result
