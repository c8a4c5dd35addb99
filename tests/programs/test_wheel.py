"""What is installed works outside the checkout: all three programs, and the types that others build on."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site-packages")
    return folder / "site-packages"


@pytest.mark.parametrize("module", ["fedglmm_coordinator", "fedglmm_site"])
def test_the_programs_run_from_the_wheel_alone(unpacked: Path, module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=unpacked.parent,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    where = f"import {module}; print({module}.__file__)"
    located = subprocess.run(
        [sys.executable, "-c", where],
        cwd=unpacked.parent,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert located.stdout.strip().startswith(str(unpacked))


def test_the_wheel_holds_every_package_its_types_and_no_module_named_site(unpacked: Path) -> None:
    for package in ("fedglmm_secure", "fedglmm_coordinator", "fedglmm_site"):
        assert (unpacked / package / "py.typed").exists()
    assert (unpacked / "fedglmm_secure" / "wire" / "v1" / "exchange_pb2.py").exists()
    assert (unpacked / "fedglmm_secure" / "report" / "templates" / "result.html").exists()
    assert not (unpacked / "site").exists()
    assert not (unpacked / "tests").exists()
