"""A rehearsal in real processes: one coordinator and one program a site, over gRPC with mutual TLS on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NoReturn

from fedglmm_secure.errors import LinkError
from fedglmm_secure.rehearsal.memory import rehearsal_copy
from fedglmm_secure.shell import INTERRUPTED, SHARE, Say, write_identity, write_share
from fedglmm_secure.study import Study
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.approval import approve
from fedglmm_secure.wire.key_share import share_file

AFTERMATH_SECONDS = 2.0
"""How long the others may take to end by themselves, and say why, once one process has failed."""
PATIENCE_SECONDS = 10.0
"""How long they may take once they were told to stop."""
POLL_SECONDS = 0.05
POLICY = "allow_plain = true\nallow_rehearsals = true\n"
"""A rehearsal's sites are all the user's own: plain sums are allowed once the study or the user names them."""


@dataclass
class _Party:
    """A running program and the file that its error goes to (None: the terminal's)."""

    name: str
    process: subprocess.Popen[str]
    errors: Path | None

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.process.poll()


def rehearse_over_grpc(
    study: Study,
    tables: Mapping[str, Path],
    out: Path,
    protocol: str | None,
    say: Say,
    *,
    quiet: bool,
    debug: bool,
) -> str:
    """Run the study and return the result's summary. Ends the program with the code of the party that failed."""
    identities = {name: identity.generate() for name in tables}
    own = identity.generate()
    run, shares = rehearsal_copy(study, identities, protocol, own.certificate)
    (out / "study.toml").write_text(run.to_toml(), encoding="utf-8")
    flags = ["--quiet"] * quiet + ["--debug"] * debug
    with TemporaryDirectory(prefix="fedglmm-") as private, ExitStack() as stack:
        keys = Path(private)
        write_identity(keys / "coordinator", own)
        (keys / "policy.toml").write_text(POLICY, encoding="utf-8")
        coordinator, address = _start_coordinator(stack, out, keys, flags)
        say(f"coordinator and {len(tables)} sites on {address}, mutual TLS, {run.security.protocol}")
        parties = [coordinator]
        for name, table in tables.items():
            write_identity(keys / "sites" / name, identities[name])
            if name in shares:
                write_share(keys / "sites" / name / SHARE, share_file(run, name, shares[name]))
            given = approve(run, name, identities[name].signing, datetime.now(UTC))
            (keys / f"{name}.approval.toml").write_text(given.to_toml(), encoding="utf-8")
            parties.append(_start_site(stack, name, table, out, keys, address, debug=debug, count=len(tables)))
        _watch(parties)
        assert coordinator.process.stdout is not None  # noqa: S101  opened as a pipe
        summary = coordinator.process.stdout.read().strip()
    for name in ("result.json", "report.html"):
        shutil.copy(out / "coordinator" / name, out / name)
    return summary


def _start_coordinator(stack: ExitStack, out: Path, keys: Path, flags: list[str]) -> tuple[_Party, str]:
    """The coordinator's process and the address it listens on, which it prints first."""
    command = ["serve", out / "study.toml", "--keys", keys / "coordinator", "--listen", "127.0.0.1:0"]
    command += ["--out", out / "coordinator", *flags]
    party = _start(stack, "the coordinator", "fedglmm_coordinator", command, None, share=1)
    assert party.process.stdout is not None  # noqa: S101  opened as a pipe
    line = party.process.stdout.readline()
    if not line.startswith("listening on "):
        sys.exit(party.process.wait())  # its sentence is on stderr
    return party, line.removeprefix("listening on ").strip()


def _start_site(
    stack: ExitStack, name: str, table: Path, out: Path, keys: Path, address: str, *, debug: bool, count: int
) -> _Party:
    home = out / "sites" / name
    command = ["join", out / "study.toml", "--data", table, "--keys", keys / "sites" / name]
    command += ["--coordinator", address, "--out", home, "--policy", keys / "policy.toml", "--quiet"]
    command += ["--approval", keys / f"{name}.approval.toml"]
    command += ["--debug"] * debug
    home.mkdir(parents=True, exist_ok=True)
    return _start(stack, f"site {name}", "fedglmm_site", command, keys / f"{name}.stderr", share=count)


def _start(
    stack: ExitStack, name: str, module: str, command: list[object], errors: Path | None, *, share: int
) -> _Party:
    """Start a program that ends with this one at the latest; ``share`` processes divide the processors."""
    threads = str(max(1, (os.cpu_count() or 1) // share))
    stderr: IO[str] | None = stack.enter_context(errors.open("w", encoding="utf-8")) if errors else None
    process = subprocess.Popen(  # noqa: S603  this very interpreter and our own module
        [sys.executable, "-m", module, *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if errors is None else subprocess.DEVNULL,
        stderr=stderr,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
    )
    party = _Party(name, process, errors)
    stack.callback(_end, party)
    return party


def _watch(parties: list[_Party]) -> None:
    """Return when all ended well; else let the rest end, name the party that failed and leave with its code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while any(party.code is None for party in parties):
            if any(party.code for party in parties):
                _wait(parties, AFTERMATH_SECONDS)
                _stop(parties)
                break
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        _stop(parties)
        sys.exit(INTERRUPTED)
    if any(party.code != 0 for party in parties):
        _blame(parties)


def _blame(parties: list[_Party]) -> NoReturn:
    """Leave with the code of whoever failed by itself: a site before the coordinator, a reason before a lost line."""
    failed = [party for party in parties[1:] + parties[:1] if party.code not in (0, None, INTERRUPTED)]
    if not failed:
        raise LinkError("the programs of the rehearsal did not end; try again, or with --transport memory")
    first = next((party for party in failed if party.code != LinkError.exit_code), failed[0])
    if first.errors is not None:
        print(f"{first.name}: {first.errors.read_text(encoding='utf-8').strip()}", file=sys.stderr)
    sys.exit(first.code)


def _stop(parties: list[_Party]) -> None:
    for party in parties:
        if party.code is None:
            party.process.send_signal(signal.SIGTERM)
    _wait(parties, PATIENCE_SECONDS)


def _wait(parties: list[_Party], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(party.code is None for party in parties):
        time.sleep(POLL_SECONDS)


def _end(party: _Party) -> None:
    if party.code is None:
        party.process.kill()
    party.process.wait()
    if party.process.stdout is not None:
        party.process.stdout.close()
