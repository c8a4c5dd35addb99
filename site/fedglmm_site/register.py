"""The register of the studies that a site has taken part in, so that no two results can be subtracted unnoticed.

``register.jsonl`` has a line for the start of each run, with keyed hashes of the rows it used, and one for its end;
``register.key`` is the secret of those hashes. Both are readable by their owner only and live with the site's keys.
"""

from __future__ import annotations

import base64
import fcntl
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.study import Study
from fedglmm_secure.study.agreement import used_variables
from fedglmm_site.cohort import Hashes, Overlap, compare, complete_rows, fingerprint, row_hashes
from fedglmm_site.disk import append, open_private, replace, sync_folder
from fedglmm_site.policy import Policy

REGISTER, KEY = "register.jsonl", "register.key"
FEW_ROWS, FEW_SHARE = 10, 0.05
"""Two cohorts that differ in fewer rows, or in a smaller share of the larger one, would tell of few patients."""
SAME_TABLE = 0.5
"""Share of the smaller cohort's rows that both have, from which on two tables are taken to hold the same patients."""


@dataclass(frozen=True)
class Run:
    """One run of a study: when, which study, with which sites and rows."""

    time: str
    study: str
    digest: str
    roster: tuple[tuple[str, str], ...]
    """Name and public key (base64) of each site."""
    table: str
    """Keyed hash of the table file."""
    columns: tuple[str, ...]
    rows: Hashes
    ended: bool = False

    @property
    def named(self) -> str:
        """The run in words."""
        return f"study {self.study} (digest {self.digest[:16]}, {self.time[:10]})"


@dataclass(frozen=True)
class Candidate:
    """A run that is about to start. Its ``repr`` hides the table."""

    study: Study
    table: bytes = field(repr=False)
    """The table file."""
    frame: pd.DataFrame = field(repr=False)
    """The rows of it that the study uses."""
    known: dict[tuple[str, ...], Hashes] = field(default_factory=dict, repr=False)
    """Hashes of the rows by columns, computed once."""

    @classmethod
    def of(cls, study: Study, table: bytes, frame: pd.DataFrame) -> Candidate:
        """With the complete rows of ``frame``, the content of the file ``table``."""
        return cls(study, table, complete_rows(frame, used_variables(study.model, study.formula)))

    def hashes(self, columns: tuple[str, ...], key: bytes) -> Hashes:
        """One hash a row of its values in ``columns``; ``key`` is always that of one register."""
        if columns not in self.known:
            self.known[columns] = row_hashes(self.frame, columns, key)
        return self.known[columns]


class Register:
    """A site's register in a folder; nothing is made before the first run starts."""

    def __init__(self, folder: Path) -> None:
        """The register in ``folder``, which may have none yet."""
        self._path, self._key_path = folder / REGISTER, folder / KEY

    def check(self, candidate: Candidate, policy: Policy) -> str:
        """Raise RefusalError when this run and an earlier one would tell of few patients or sites by subtraction.

        Else in words what was compared.
        """
        runs = _parse(shell.read_file(self._path), self._path)[0] if self._path.exists() else []
        if not runs:  # the file may be there: a run that is refused or killed makes it, and writes nothing
            return "no earlier study"
        return _check(runs, candidate, policy, self._key())

    @contextmanager
    def run(self, candidate: Candidate, policy: Policy, now: datetime) -> Iterator[None]:
        """Check, write down the start, and the end however it comes; only a program that is killed leaves none.

        Raises RefusalError as ``check`` does, before anything is written.
        """
        with _locked(self._path) as file:
            runs, whole = _parse(file.read(), self._path)
            key = self._key(make=not runs)  # one program at a time: two keys would not know each other's rows
            _check(runs, candidate, policy, key)
            run = _start(candidate, key, now)
            file.truncate(whole)  # a line that a crash cut off belongs to a run that never started
            append(file, _line(_fields(run)))
        sync_folder(self._path.parent)
        try:
            yield
        finally:
            with _locked(self._path) as file:
                append(file, _line({"event": "end", "digest": run.digest}))

    @contextmanager
    def alone(self, study: Study) -> Iterator[None]:
        """Be the only program that joins ``study`` with these keys; InputError while there is another.

        Two would say two hellos, and each take the other's for a lie of the coordinator.
        """
        folder = self._path.parent
        with open_private(folder / f"{study.hexdigest[:16]}.lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"another fedglmm-site joins this study with the keys in {folder}; stop it, or wait until it ends"
                ) from None
            yield

    def _key(self, *, make: bool = False) -> bytes:
        if make and not self._key_path.exists():
            replace(self._key_path, secrets.token_bytes(32))
        try:
            key = shell.read_file(self._key_path)
        except OSError as error:
            raise InputError(
                f"{self._key_path}: cannot be read ({error.strerror}), and without it no earlier study's rows can be "
                "recognised; restore it, or put register.jsonl aside too and note why in your records"
            ) from None
        if self._key_path.stat().st_mode & 0o077:
            raise InputError(
                f"{self._key_path}: can be read by others than its owner; run `chmod 600 {self._key_path}`"
            )
        return key


@dataclass(frozen=True)
class _Earlier:
    """An earlier run over a table that holds the same patients."""

    run: Run
    overlap: Overlap
    same_file: bool


def _check(runs: Sequence[Run], candidate: Candidate, policy: Policy, key: bytes) -> str:
    """Runs over the same table are counted; another cohort, roster or study must not be nearly the same."""
    found = [_earlier(run, candidate, key) for run in runs]
    related = [earlier for earlier in found if earlier is not None]
    _check_number([earlier.run for earlier in related], candidate, policy)  # (rule e)
    if policy.repeated_studies == "refuse":
        for earlier in related:  # (rule d)
            _check_difference(earlier, candidate.study)
    return f"{len(runs)} earlier {_plural(len(runs), 'run')} of studies, {len(related)} over this table"


def _earlier(run: Run, candidate: Candidate, key: bytes) -> _Earlier | None:
    """How the rows of the two runs compare, by the columns of the earlier; None for tables of different patients."""
    if not set(run.columns) <= set(candidate.frame.columns):
        return None
    overlap = compare(run.rows, candidate.hashes(run.columns, key))
    same_file = run.table == fingerprint(candidate.table, key)
    return _Earlier(run, overlap, same_file) if same_file or overlap.shared >= SAME_TABLE * overlap.smaller else None


def _check_number(runs: Sequence[Run], candidate: Candidate, policy: Policy) -> None:
    """A run without an end was killed: with the next one of the same study, which takes it up, it is one."""
    if policy.maximum_studies is None:
        return
    following = [*(run.digest for run in runs[1:]), candidate.study.hexdigest]
    count = sum(run.ended or run.digest != after for run, after in zip(runs, following, strict=False))
    if count >= policy.maximum_studies:
        raise RefusalError(
            f"this table has taken part in {count} {_plural(count, 'run')} of studies, the last of {runs[-1].named}, "
            f"and this site's policy allows no more (maximum_studies = {policy.maximum_studies})"
        )


def _check_difference(earlier: _Earlier, study: Study) -> None:
    """Refuse what differs from an earlier run in little, but not in nothing."""
    run, overlap = earlier.run, earlier.overlap
    if run.digest == study.hexdigest and overlap.only_one == 0:
        return
    why = "subtracting one result from the other can tell of few patients or sites"
    remedy = 'if both are meant, such as two models to compare, set repeated_studies = "allow" in this site\'s policy'
    if earlier.same_file or overlap.only_one < max(FEW_ROWS, FEW_SHARE * overlap.larger):
        raise RefusalError(
            f"{run.named} used {overlap.shared} of the rows that this study would use, and {overlap.only_one} "
            f"{'row differs' if overlap.only_one == 1 else 'rows differ'}: {why}; {remedy}"
        )
    apart = _sites_apart(run.roster, _roster(study))
    if 0 < apart < study.security.minimum_sites:
        raise RefusalError(
            f"{run.named} used {overlap.shared} of the rows that this study would use, and the rosters differ by "
            f"{apart} {_plural(apart, 'site')}: {why}; {remedy}"
        )


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _sites_apart(one: tuple[tuple[str, str], ...], other: tuple[tuple[str, str], ...]) -> int:
    """Sites that are in one roster only; a site is the same by its name or by its key."""
    return sum(
        all(site[0] != known[0] and site[1] != known[1] for known in second)
        for first, second in ((one, other), (other, one))
        for site in first
    )


def _roster(study: Study) -> tuple[tuple[str, str], ...]:
    return tuple((site.name, site.public_key or "") for site in study.sites)


def _start(candidate: Candidate, key: bytes, now: datetime) -> Run:
    study = candidate.study
    columns = used_variables(study.model, study.formula)
    return Run(
        now.isoformat(timespec="seconds"),
        study.study.id,
        study.hexdigest,
        _roster(study),
        fingerprint(candidate.table, key),
        columns,
        candidate.hashes(columns, key),
    )


def _fields(run: Run) -> dict[str, Any]:
    return {
        "event": "start",
        "time": run.time,
        "study": run.study,
        "digest": run.digest,
        "roster": run.roster,
        "table": run.table,
        "columns": run.columns,
        "rows": base64.b64encode(run.rows.astype("<u8").tobytes()).decode(),
    }


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _parse(content: bytes, path: Path) -> tuple[list[Run], int]:
    """The runs of a register, and the bytes of its complete lines; InputError for anything that is not written here."""
    whole = content.rfind(b"\n") + 1
    runs: list[Run] = []
    try:
        for line in content[:whole].splitlines():
            fields = json.loads(line)
            if fields["event"] == "end":
                last = max(i for i, run in enumerate(runs) if run.digest == fields["digest"])
                runs[last] = Run(**{**vars(runs[last]), "ended": True})
            else:
                runs.append(_parse_start(fields))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{path}: is damaged; keep it for whoever looks into it, and restore the last good copy"
        ) from None
    return runs, whole


def _parse_start(fields: dict[str, Any]) -> Run:
    return Run(
        str(fields["time"]),
        str(fields["study"]),
        str(fields["digest"]),
        tuple((str(name), str(key)) for name, key in fields["roster"]),
        str(fields["table"]),
        tuple(map(str, fields["columns"])),
        np.frombuffer(base64.b64decode(fields["rows"], validate=True), dtype="<u8").astype(np.uint64),
    )


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The register's file, readable from its beginning; writes go to its end, and nobody else writes meanwhile."""
    with open_private(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
