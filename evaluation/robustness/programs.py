"""The installed programs as processes that start at once: forked from a parent that has loaded their modules.

Each is a process of its own from its first instruction to its exit code, and a kill -9 is one. The tests use it too.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

COORDINATOR_PROGRAM, SITE_PROGRAM, TOOLS_PROGRAM = "fedglmm-coordinator", "fedglmm-site", "fedglmm"
_MODULES = {
    COORDINATOR_PROGRAM: "fedglmm_coordinator.main",
    SITE_PROGRAM: "fedglmm_site.main",
    TOOLS_PROGRAM: "fedglmm_secure.commands.main",
}
_FORKS = multiprocessing.get_context("forkserver")
_WORK = ("fedglmm_coordinator.service", "fedglmm_site.joining", "fedglmm_secure.commands.rehearsing")
"""What the programs load once their options are known to be right."""
_FORKS.set_forkserver_preload([*_MODULES.values(), *_WORK, "fedglmm_secure.report"])


class Program:
    """One command line, started as often as it takes."""

    def __init__(self, program: str, arguments: list[str], folder: Path) -> None:
        """Nothing runs yet. The output of all its processes is appended to ``stdout`` and ``stderr`` in ``folder``."""
        self._program, self._arguments, self._folder = program, arguments, folder
        self._process: ForkServerProcess | None = None
        self.starts = 0

    @property
    def stderr(self) -> Path:
        """What it said."""
        return self._folder / "stderr"

    @property
    def code(self) -> int | None:
        """The exit code of its last process, -9 after a kill, None while it runs or before it does."""
        return None if self._process is None else self._process.exitcode

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.exitcode is None

    def start(self) -> None:
        """Run the command."""
        self._process = start(self._program, self._arguments, self._folder)
        self.starts += 1

    def kill(self) -> bool:
        """kill -9; whether there was a process to kill."""
        if self._process is None or not self.is_running:
            return False
        self._process.kill()
        self._process.join()
        return self._process.exitcode == -9


def start(
    program: str, arguments: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> ForkServerProcess:
    """A new process that runs a command line in ``folder``, its output appended to ``stdout`` and ``stderr`` there."""
    folder.mkdir(parents=True, exist_ok=True)
    process = _FORKS.Process(target=_run, args=(program, arguments, str(folder), environment or {}), daemon=True)
    process.start()
    return process


def _run(program: str, arguments: list[str], folder: str, environment: Mapping[str, str]) -> None:
    """In the new process: what the installed script does, with its output in files. Ends with SystemExit."""
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.argv = [program, *arguments]
    importlib.import_module(_MODULES[program]).main()
