"""Does a test fail without each of the security checks? Takes one away at a time and runs the test that must fail.

    python evaluation/security/run_mutants.py [--only TEXT] [--jobs N]

`mutants.toml` lists the checks: the source text of each, the text without it, and one test. The work is done in
temporary copies of the tree, never in place. Each test must first pass on the unchanged copy. Then, for each mutant,
its test must fail (pytest's exit code 1: a mutant that cannot even be imported proves nothing). Prints a table; exit
code 1 when a mutant survives, or a test fails without any.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[2]
MUTANTS = Path(__file__).with_name("mutants.toml")
COPIED = ("fedglmm_secure", "coordinator", "site", "tests", "docs", "examples", "proto", "pyproject.toml", "README.md")
SECONDS = 300
"""After this a test counts as neither passed nor failed."""
PASSED, FAILED = 0, 1


@dataclass(frozen=True)
class Mutant:
    """A check, and the source without it."""

    check: str
    file: str
    old: str
    new: str
    test: str


def read_mutants(path: Path = MUTANTS) -> list[Mutant]:
    """The list, in its order."""
    return [Mutant(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]]


class Tree:
    """A temporary copy of what the tests need."""

    def __init__(self, folder: Path) -> None:
        """Copy into an empty folder."""
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)

    @contextmanager
    def without(self, mutant: Mutant) -> Iterator[None]:
        """The tree without one check, inside the ``with`` block."""
        path = self.folder / mutant.file
        source = path.read_text(encoding="utf-8")
        if source.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.file}: the source of '{mutant.check}' is there {source.count(mutant.old)} times")
        path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(source, encoding="utf-8")

    def run(self, *tests: str) -> tuple[int, str]:
        """pytest's exit code, -1 when it took too long, and its last lines."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=line", *tests]
        paths = (self.folder, self.folder / "coordinator", self.folder / "site")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",  # a mutant of the same size and second would be taken for the original
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.folder / ".hypothesis"),
        }
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return -1, f"no result within {SECONDS} s"
        return done.returncode, (done.stdout + done.stderr)[-2000:]


def run(mutants: Sequence[Mutant], jobs: int) -> bool:
    """Whether every test passes on the unchanged tree and every mutant makes its test fail; prints the table."""
    good = True
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        trees: queue.Queue[Tree] = queue.Queue()
        for job in range(jobs):
            (Path(folder) / str(job)).mkdir()
            trees.put(Tree(Path(folder) / str(job)))

        def killed(mutant: Mutant) -> tuple[Mutant, int, str]:
            tree = trees.get()
            try:
                with tree.without(mutant):
                    return mutant, *tree.run(mutant.test)
            finally:
                trees.put(tree)

        first = trees.get()
        code, words = first.run(*sorted({mutant.test for mutant in mutants}))
        trees.put(first)
        if code != PASSED:
            print(f"the tests do not pass on the unchanged tree (exit code {code}):\n{words}")
            return False
        for mutant, code, words in pool.map(killed, mutants):
            verdict = "killed" if code == FAILED else "SURVIVED" if code == PASSED else f"NO RESULT ({code})"
            print(f"{verdict:<10} {mutant.file.removeprefix('fedglmm_secure/'):<34} {mutant.check}", flush=True)
            if code != FAILED:
                good = False
                print(f"           {mutant.test}\n{words}")
    return good


def main() -> int:
    """Run the list, or the entries whose text holds ``--only``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="entries with this text in file, check or test")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    chosen = [m for m in read_mutants() if options.only in f"{m.file} {m.check} {m.test}"]
    began = perf_counter()
    good = run(chosen, options.jobs)
    verdict = "each makes its test fail" if good else "NOT every one makes its test fail"
    print(f"{len(chosen)} mutants, {perf_counter() - began:.0f} s: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
