"""A deployment on this machine: a study of four hospitals, everybody's keys, and the real programs."""

from __future__ import annotations

import io
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluation.robustness.programs import start
from fedglmm_secure.securesum.paillier import LEGACY_BITS
from fedglmm_secure.shell import SHARE, write_share
from fedglmm_secure.study import Study
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.approval import approval_path, approve
from fedglmm_secure.wire.identity import PRIVATE_FILES, Identity
from fedglmm_secure.wire.key_share import Dealing, deal_key, share_file
from fedglmm_site.main import main as site_main
from tests.programs.lines import Line

DATA = Path(__file__).parents[1] / "data"
SITES = ("1_UM", "2_IU", "3_UK", "4_Case")
PATIENCE = 90.0


def draft_study(**changes: object) -> Study:
    """The trial's study with a roster of names; ``changes`` are ``table__key=value``."""
    path = DATA / "studies" / "indo_rct.toml"
    data = Study.parse(path.read_text(), str(path)).model_dump(exclude_none=True)
    data["sites"] = [{"name": name} for name in SITES]
    for key, value in changes.items():
        table, _, name = key.partition("__")
        data.setdefault(table, {})[name] = value
    return Study.from_dict(data, "test study")


def write_keys(folder: Path, own: Identity) -> Path:
    folder.mkdir(parents=True)
    for name, content in own.files().items():
        (folder / name).write_bytes(content)
        if name in PRIVATE_FILES:
            (folder / name).chmod(0o600)
    return folder


class Program:
    """A running program whose output is kept in files."""

    def __init__(self, folder: Path, name: str, *arguments: object, environment: dict[str, str] | None = None) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        for file in (self._out, self._err):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        self._process = start(name, [*map(str, arguments)], folder, environment)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    def first_line(self) -> str:
        return self._await(lambda: self.stdout.splitlines()[0] if "\n" in self.stdout else None)

    def await_stderr(self, text: str) -> None:
        self._await(lambda: text if text in self.stderr else None)

    def end(self) -> int:
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None, f"it never ended; stdout: {self.stdout} stderr: {self.stderr}"
        return self._process.exitcode

    def interrupt(self, number: int = signal.SIGINT) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    @property
    def error(self) -> str:
        """The last line of stderr: the one sentence."""
        assert "Traceback" not in self.stderr
        return self.stderr.strip().splitlines()[-1]

    def _await(self, look: Callable[[], str | None]) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            is_running = self.is_running
            found = look()
            if found is not None:
                return found
            if not is_running:
                break
            self._process.join(0.05)
        raise AssertionError(f"never came; stdout: {self.stdout} stderr: {self.stderr}")


@dataclass(frozen=True)
class Called:
    """How a command ended that ran in this process."""

    code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one sentence on stderr."""
        (line,) = self.stderr.strip().splitlines()
        return line


def call_site(*arguments: object) -> Called:
    """A command of fedglmm-site, run here: a process takes seconds to start."""
    argv, umask, handler = sys.argv, os.umask(0o077), signal.getsignal(signal.SIGTERM)
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["fedglmm-site", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            site_main()
    finally:
        sys.argv = argv
        os.umask(umask)
        signal.signal(signal.SIGTERM, handler)
    return Called(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@dataclass
class Deployment:
    """Study, keys and tables in one folder; ``coordinator`` and ``site`` start programs."""

    folder: Path
    study: Study
    identities: dict[str, Identity]
    programs: list[Program] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, *, dealt: bool = False, **changes: object) -> Deployment:
        """``dealt``: with a Paillier key, of which each site has its share."""
        identities = {name: identity.generate() for name in (*SITES, "coordinator")}
        study = draft_study(**changes).replaced(
            identities={name: (identities[name].public_key, identities[name].certificate) for name in SITES},
            encryption_keys={name: identities[name].encryption_key or "" for name in SITES} if dealt else None,
            coordinator_certificate=identities["coordinator"].certificate,
        )
        dealing = deal_key(study, LEGACY_BITS, secrets.token_bytes) if dealt else Dealing(study, 0, {})
        made = cls(folder, dealing.study, identities)
        for name, own in identities.items():
            write_keys(made.keys(name), own)
        for name, share in dealing.shares.items():
            write_share(made.keys(name) / SHARE, share_file(made.study, name, share))
        table = pd.read_csv(DATA / "indo_rct.csv")
        for name in SITES:
            table[table["site"] == name].to_csv(made.table(name), index=False)
        (folder / "study.toml").write_text(made.study.to_toml())
        return made

    def keys(self, name: str) -> Path:
        return self.folder / "keys" / name

    def table(self, name: str) -> Path:
        return self.folder / f"{name}.csv"

    def out(self, name: str) -> Path:
        return self.folder / "out" / name

    def other_study(self, name: str, study: Study) -> Path:
        path = self.folder / name
        path.write_text(study.to_toml())
        return path

    def coordinator(self, *options: object, study: Path | None = None, listen: str = "127.0.0.1:0") -> Program:
        fixed = ("--keys", self.keys("coordinator"), "--listen", listen, "--out", self.out("coordinator"))
        return self._start("fedglmm-coordinator", "coordinator", "serve", study, *fixed, *options)

    def approve(self, name: str, study: Path | None = None) -> Path:
        """The site approves the deployment's study, or the one in a file."""
        file = study or self.folder / "study.toml"
        approved = self.study if study is None else Study.parse(file.read_text(), str(file))
        given = approve(approved, name, self.identities[name].signing, datetime.now(UTC))
        approval_path(file, name).write_text(given.to_toml())
        return approval_path(file, name)

    def site(
        self,
        name: str,
        address: str,
        *options: object,
        study: Path | None = None,
        keys: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> Program:
        self.approve(name, study)
        fixed = ("--data", self.table(name), "--keys", self.keys(keys or name))
        where = ("--coordinator", address, "--out", self.out(name))
        return self._start("fedglmm-site", name, "join", study, *fixed, *where, *options, environment=environment)

    def join_here(self, name: str, address: str, *options: object, study: Path | None = None) -> Called:
        """A join that ends before it connects, or soon after, in this process, of a study that may not be approved."""
        fixed = ("--data", self.table(name), "--keys", self.keys(name), "--out", self.out(name), "--timeout", 1)
        return call_site("join", study or self.folder / "study.toml", *fixed, "--coordinator", address, *options)

    def program(self, name: str, *arguments: object) -> Program:
        """Any program, in the deployment's folder."""
        self.programs.append(Program(self.folder, name, *arguments))
        return self.programs[-1]

    def _start(
        self,
        program: str,
        name: str,
        command: str,
        study: Path | None,
        *options: object,
        environment: dict[str, str] | None = None,
    ) -> Program:
        folder = self.folder / "run" / f"{len(self.programs)} {name}"
        arguments = (command, study or self.folder / "study.toml", *options)
        self.programs.append(Program(folder, program, *arguments, environment=environment))
        return self.programs[-1]


def address_of(coordinator: Program) -> str:
    return coordinator.first_line().removeprefix("listening on ")


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    made: list[Deployment] = []

    def make(**changes: Any) -> Deployment:
        made.append(Deployment.make(tmp_path, **changes))
        return made[-1]

    yield make
    for deployment in made:
        for program in deployment.programs:
            program.kill()


@pytest.fixture(scope="module")
def finished_fit(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment whose fit is done, with all that its sites kept."""
    made = Deployment.make(tmp_path_factory.mktemp("hospitals"))
    coordinator = made.coordinator()
    joined = [made.site(name, address_of(coordinator)) for name in SITES]
    assert [coordinator.end(), *(site.end() for site in joined)] == [0] * 5, coordinator.stderr
    return made


@pytest.fixture
def steward() -> Callable[..., Called]:
    return call_site


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    """line(address, delay=...) is a line to the coordinator that can be disturbed."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Line(*arguments, **options))


@pytest.fixture
def sites() -> tuple[str, ...]:
    return SITES


@pytest.fixture
def address() -> Callable[[Program], str]:
    return address_of


@pytest.fixture(scope="module")
def draft() -> Study:
    """The trial's study with its sites' names, without keys."""
    return draft_study()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    return DATA
