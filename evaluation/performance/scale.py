"""Many hospitals: the medpar study with 30 sites in processes of their own over gRPC, and with 200 sites in memory.

    python evaluation/performance/scale.py

The 54 providers are dealt out over 30 sites. For 200 sites the table is taken four times, each time with other
provider names: the estimates stay, the log-likelihood is four times as large. Both answers stand beside lme4's of
tests/data/reference.json. Each rehearsal has a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from fedglmm_secure import Study, rehearse

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
PROCESSES, IN_MEMORY = 30, 200
COPIES = 4
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Course:
    """What a fit cost and how far its answer is from lme4's, in lme4's standard errors."""

    place: str
    sites: int
    rows: int
    sums: int
    seconds: float
    sum_ms: float
    site_mb: float
    coordinator_mb: float | None
    bytes_a_site_and_sum: float
    off: float
    likelihood: float
    """Of one copy of the table."""


def scale() -> Table:
    """A row for each of the two."""
    table = Table(
        title="The medpar study (AGH 9, masking) over many sites",
        title_justify="left",
        caption="MB: the median of the sites' processes at their highest; in memory, what one more site adds to the "
        f"one process. Off: the largest distance from lme4's fixed effects, in standard errors. {os.cpu_count()} "
        "cores share all sites' work.",
        caption_justify="left",
    )
    for column in (
        "where", "sites", "rows", "sums", "seconds", "ms a sum", "MB a site", "MB coordinator", "bytes a site and sum",
        "off", "log-likelihood",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "where" else "right")
    for course in (over_grpc(PROCESSES), in_memory(IN_MEMORY)):
        table.add_row(
            course.place, f"{course.sites}", f"{course.rows:,}", f"{course.sums}", f"{course.seconds:.1f}",
            f"{course.sum_ms:.0f}", f"{course.site_mb:.1f}",
            "" if course.coordinator_mb is None else f"{course.coordinator_mb:.0f}",
            f"{course.bytes_a_site_and_sum:,.0f}", f"{course.off:.1e}", f"{course.likelihood:.5f}",
        )  # fmt: skip
    return table


def over_grpc(sites: int) -> Course:
    """The installed command, with a process a site."""
    tables = dealt(sites, 1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        command = [Path(sys.executable).with_name("fedglmm"), "rehearse", folder / "study.toml", "--quiet"]
        (folder / "study.toml").write_text(study(tables).to_toml())
        for site, rows in tables.items():
            rows.to_csv(folder / f"{site}.csv", index=False)
            command += ["--site", f"{site}={folder / site}.csv"]
        command += ["--out", folder / "run"]
        began = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
        with _Watch("fedglmm_site") as hospitals, _Watch("fedglmm_coordinator") as coordinator:
            if process.wait():
                raise SystemExit(f"the rehearsal ended with code {process.returncode}")
        seconds = time.perf_counter() - began
        result = json.loads((folder / "run" / "result.json").read_text())
        sum_ms = median(_gaps((folder / "run" / "coordinator" / "log.jsonl").read_text().splitlines()))
    (most,) = coordinator.megabytes()
    return _course(
        "over gRPC", tables, result, seconds, sum_ms, site_mb=median(hospitals.megabytes()), coordinator_mb=most
    )


def in_memory(sites: int) -> Course:
    """One process for everybody."""
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        return fresh.apply(_in_memory, (sites,))


def _in_memory(sites: int) -> Course:
    few, many = dealt(3, COPIES), dealt(sites, COPIES)
    rehearse(study(few), few)  # loads what every fit needs
    before, began = _peak(), time.perf_counter()
    ends: list[float] = []
    fit = rehearse(study(many), many, report=lambda _: ends.append(time.perf_counter()))
    seconds = time.perf_counter() - began
    sum_ms = median(1e3 * (end - start) for start, end in pairwise(ends))
    return _course("in memory", many, json.loads(fit.to_json()), seconds, sum_ms, site_mb=(_peak() - before) / sites)


def _course(
    place: str, tables: Mapping[str, pd.DataFrame], result: dict[str, Any], seconds: float, sum_ms: float,
    *, site_mb: float, coordinator_mb: float | None = None,
) -> Course:  # fmt: skip
    """The figures, with the answer beside lme4's."""
    copies = COPIES if place == "in memory" else 1
    security, effects = result["security"], result["fixed_effects"]
    reference = next(data for data in json.loads((DATA / "reference.json").read_text()) if data["id"] == "medpar")
    lme4 = next(fit for fit in reference["fits"] if fit["engine"].startswith("lme4") and fit["nodes"] == 9)
    off = max(
        abs(effect["estimate"] - value) / error
        for effect, value, error in zip(
            effects, lme4["fixed_effects"].values(), lme4["std_errors"].values(), strict=True
        )
    )
    sums = security["sums"]
    return Course(
        place, len(tables), sum(map(len, tables.values())), sums, seconds, sum_ms, site_mb, coordinator_mb,
        median(security["bytes_sent_by_site"].values()) / sums, off, result["log_likelihood"] / copies,
    )  # fmt: skip


def study(tables: Mapping[str, pd.DataFrame]) -> Study:
    """The study over these sites."""
    given = Study.parse((DATA / "studies" / "medpar.toml").read_text(), "medpar").model_dump(exclude_none=True)
    return Study.from_dict(given | {"sites": [{"name": name} for name in tables]}, "medpar")


def dealt(sites: int, copies: int) -> dict[str, pd.DataFrame]:
    """The table ``copies`` times, its providers dealt out in turn."""
    once = pd.read_csv(DATA / "medpar.csv", dtype={"provnum": str})
    rows = pd.concat([once.assign(provnum=once["provnum"] + f"-{copy}") for copy in range(copies)])
    site = pd.factorize(rows["provnum"])[0] % sites
    return {f"hospital-{number:03}": rows[site == number] for number in np.unique(site)}


def _gaps(lines: list[str]) -> list[float]:
    """Milliseconds from the last contribution to a sum to the last one to the next, from the coordinator's log."""
    last: dict[int, datetime] = {}
    for line in map(json.loads, lines):
        if line["event"] == "message" and line["kind"] == "contribution":
            last[line["sum"]] = datetime.fromisoformat(line["time"])
    return [1e3 * (end - start).total_seconds() for start, end in pairwise(last.values())]


class _Watch:
    """Looks at how much memory the running processes of a module take, at the highest of each (Linux)."""

    def __init__(self, module: str) -> None:
        self._module, self._most = module.encode(), defaultdict[str, int](int)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look_again_and_again)

    def megabytes(self) -> list[float]:
        """Each process's resident memory."""
        return [kilobytes / 1e3 for kilobytes in self._most.values()]

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look_again_and_again(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if self._module in (process / "cmdline").read_bytes().split(b"\0"):
                        status = dict(
                            line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
                        )
                        self._most[process.name] = int(status["VmHWM"].split()[0])
                except (OSError, KeyError):
                    continue  # it has just ended


def _peak() -> float:
    """This process's resident memory at its highest, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    Console(width=150).print(scale())
