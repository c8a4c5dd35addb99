"""What a program shows of itself is there at once: help, version and wrong options load no library of its work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import distribution

import pytest
import typer

HEAVY = {
    "cryptography",
    "formulaic",
    "gmpy2",
    "google",  # protobuf
    "grpc",
    "jinja2",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "phe",
    "pyarrow",
    "scipy",
    "threadpoolctl",
}
TABLES = {"formulaic", "grpc", "numba", "pandas", "pyarrow", "scipy"}
MAINS = {
    "fedglmm": "fedglmm_secure.commands.main",
    "fedglmm-coordinator": "fedglmm_coordinator.main",
    "fedglmm-site": "fedglmm_site.main",
}
SCRIPTS = {
    entry.name: entry.attr for entry in distribution("fedglmm-secure").entry_points if entry.group == "console_scripts"
}
CODE = """
import sys
from fedglmm_secure import programs
sys.argv = sys.argv[1:]
try:
    getattr(programs, sys.argv[0])()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def commands(
    path: tuple[str, ...], command: typer.core.TyperCommand | typer.core.TyperGroup
) -> Iterator[tuple[str, ...]]:
    """The words of a command and of all below it."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands((*path, name), below)


ALL = [
    path
    for program, module in MAINS.items()
    for path in commands((program,), typer.main.get_command(import_module(module).app))
]


def packages(modules: str) -> set[str]:
    return {module.partition(".")[0] for module in modules.split()}


def test_every_script_and_command_is_here() -> None:
    assert set(MAINS) == set(SCRIPTS)
    assert {("fedglmm", "study", "draft"), ("fedglmm-site", "join"), ("fedglmm-coordinator", "serve")} <= set(ALL)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        *(((program, "--version"), 0) for program in MAINS),
        *(((*path, "--help"), 0) for path in ALL),
        *(((*path, "--no-such-option"), 2) for path in ALL),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_program_shows_of_itself_loads_no_library_of_its_work(words: tuple[str, ...], code: int) -> None:
    program, *options = words
    command = [sys.executable, "-c", CODE, SCRIPTS[program], *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code, ended.stderr
    assert "typer" in packages(ended.stderr)
    assert packages(ended.stderr) & HEAVY == set()


@pytest.mark.parametrize(
    "module",
    [
        "fedglmm_secure.shell.keys",  # keys new
        "fedglmm_secure.report",  # report
        "fedglmm_site.audit",  # verify-log
    ],
)
def test_what_works_without_a_study_loads_no_library_of_tables(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert packages(ended.stdout) & TABLES == set()
