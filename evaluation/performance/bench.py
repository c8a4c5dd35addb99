"""What it costs: the likelihood, the sums of a fit, the secure sums, each beside what it must at least cost.

    python evaluation/performance/bench.py

Figures are medians of several runs on this machine, for reading; nothing is asserted.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from threadpoolctl import ThreadpoolController

from fedglmm_secure import Study, rehearse
from fedglmm_secure.model import fast
from fedglmm_secure.model.answers import answer
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Design, Layout
from fedglmm_secure.model.questions import MarginalDerivatives

sys.path.insert(0, str(Path(__file__).parent))
from against_lme4 import has_lme4, whole_fits
from paillier import packed_against_phe
from protocols import protocols
from rounds import references, simulations, spread
from scale import scale
from sums import Cost, sum_over_grpc

ROOT = Path(__file__).parents[2]
NODES = 9
RUNS = 3
"""Runs of each protocol over gRPC, in turn."""


def main() -> None:
    """Print all figures."""
    console = Console(width=110)
    console.print(likelihood())
    console.print(memory())
    console.print(fits())
    table, courses = simulations()
    console.print(table)
    console.print(spread(courses))
    console.print(references())
    wide = Console(width=150)
    wide.print(network())
    console.print(packed_against_phe())
    console.print("the secure sums of 3, 10 and 50 sites: some minutes")
    wide.print(protocols())
    wide.print(scale())
    if has_lme4():
        console.print("fitting with lme4: some minutes")
        console.print(whole_fits(((20_000, 6), (200_000, 20))))


def likelihood() -> Table:
    """One evaluation of the likelihood, gradient and Hessian beside the work it cannot do without.

    That is exp and log1p for each row and node, to which the ratios are, and X'WX, each on one core. Where Numba is
    installed evaluations are timed both ways; a fit that is too small to pay for importing it does without.
    """
    paths = {"NumPy": sys.maxsize} | ({"compiled": 0} if find_spec("numba") else {})
    table = Table(title=f"One evaluation, K = {NODES}: value, gradient and Hessian", title_justify="left")
    for column in ("rows", "columns", "groups", *(f"ms {path}" for path in paths), "ms exp/log1p", "ms X'WX"):
        table.add_column(column, justify="right")
    for path in paths:
        table.add_column(f"ratio {path}", justify="right")
    for rows, columns, groups in (
        (10_000, 20, 50),
        (100_000, 20, 50),
        (1_000_000, 20, 50),
        (100_000, 20, 10_000),
        (1_000_000, 20, 100_000),
        (1_000_000, 20, 1),
        (100_000, 6, 50),
        (20_000, 150, 50),
    ):
        question, layout, design = simulated(rows, columns, groups)

        def evaluate(enough: int, question=question, layout=layout, design=design) -> object:
            fast.ENOUGH = enough
            return answer(question, layout, design)

        ours = [partial(evaluate, enough) for enough in paths.values()]
        for one in ours:
            one()  # compiles what is not compiled yet
        *times, bare, products = in_turn(*ours, bare_work(rows), bare_products(design))
        table.add_row(
            f"{rows:,}", f"{columns}", f"{groups:,}", *(f"{ms:.1f}" for ms in (*times, bare, products)),
            *(f"{ms / bare:.1f}" for ms in times),
        )  # fmt: skip
    return table


def memory() -> Table:
    """What one evaluation allocates beyond the data, at its highest."""
    table = Table(title=f"Peak memory of one evaluation, K = {NODES}, beyond the data", title_justify="left")
    paths = {"NumPy": sys.maxsize} | ({"compiled": 0} if find_spec("numba") else {})
    for column in ("rows", "columns", "groups", "path", "MB design", "MB peak", "ratio"):
        table.add_column(column, justify="left" if column == "path" else "right")
    for groups in (1, 50, 100_000):
        rows, columns = 1_000_000, 20
        question, layout, design = simulated(rows, columns, groups)
        for path, enough in paths.items():
            fast.ENOUGH = enough
            answer(question, layout, design)  # compiles what is not compiled yet
            tracemalloc.start()
            answer(question, layout, design)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            table.add_row(
                f"{rows:,}", f"{columns}", f"{groups:,}", path, f"{design.x.nbytes / 1e6:.0f}", f"{peak / 1e6:.0f}",
                f"{peak / design.x.nbytes:.2f}",
            )  # fmt: skip
    return table


def bare_work(rows: int) -> Callable[[], object]:
    """exp and log1p once for each row and node."""
    eta = np.random.default_rng(0).normal(size=(NODES, rows))
    return lambda: np.log1p(np.exp(-np.abs(eta)))


def bare_products(design: Design) -> Callable[[], object]:
    """X'WX by BLAS on one core, weights of one sign: half of the products of a symmetric matrix."""
    root, blas = np.random.default_rng(0).random((design.rows, 1)), ThreadpoolController()  # finding BLAS takes 2 ms

    def run() -> object:
        with blas.limit(limits=1, user_api="blas"):
            total = np.zeros((design.x.shape[1],) * 2)
            for low in range(0, design.rows, 4096):
                x = design.x[low : low + 4096] * root[low : low + 4096]
                total += x.T @ x
            return total

    return run


def simulated(rows: int, columns: int, groups: int) -> tuple[MarginalDerivatives, Layout, Design]:
    """A logistic mixed model's rows and the question at the parameters they were drawn with."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, columns))
    x[:, 0] = 1.0
    beta = np.r_[-0.5, rng.normal(scale=0.3, size=columns - 1)]
    group = np.sort(rng.integers(groups, size=rows))
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    eta = x @ beta + 0.7 * rng.normal(size=groups)[group]
    y = (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(float)
    layout = Layout(
        columns=("Intercept", *(f"x{i}" for i in range(1, columns))), centre=(0.0,) * columns, half=(1.0,) * columns,
        intercept=0, group="g", terms=("Intercept",), blocks=(1,), z_centre=(0.0,), z_half=(1.0,),
        levels=(), family="binomial",
    )  # fmt: skip
    design = Design(
        x=x, z=np.ones((rows, 1)), y=y, offset=np.zeros(rows), weights=np.ones(rows), constant=0.0, starts=starts,
        group_names=tuple(map(str, starts)), level_counts=np.zeros(0), dropped=0,
    )  # fmt: skip
    description = Description(rows, 0.0, len(starts), np.zeros(0), x.sum(axis=0), np.sum(x * x, axis=0))
    theta = (*beta.tolist(), 0.7)
    return (
        MarginalDerivatives(theta, NODES, tuple(range(columns)), tuple(description.vector().tolist())),
        layout,
        design,
    )


def fits() -> Table:
    """Sums and bytes of whole fits."""
    table = Table(title="Whole fits, masked, in memory", title_justify="left")
    for column in ("study", "sites", "method", "sums", "numbers a sum", "bytes a site and sum", "seconds"):
        table.add_column(column, justify="left" if column in ("study", "method") else "right")
    data = ROOT / "tests" / "data"
    for name, file, group in (
        ("indo_rct", "indo_rct.csv", "site"),
        ("medpar", "medpar.csv", "provnum"),
        ("contraception", "Contraception.csv", "district"),
    ):
        study = Study.parse((data / "studies" / f"{name}.toml").read_text(), name)
        rows = pd.read_csv(data / file)
        sites = rows[group].astype(str) if group == "site" else (pd.factorize(rows[group])[0] % 6).astype(str)
        names = [f"hospital-{site}" for site in sites]
        tables = dict(iter(rows.drop(columns="site", errors="ignore").groupby(names)))
        for nodes in (1, 9):
            given = study.model_dump()
            given["model"] |= {"nodes": nodes, "method": "laplace" if nodes == 1 else "agh"}
            given["sites"] = [{"name": key} for key in tables]
            fit = rehearse(Study.from_dict(given, name), tables)
            sums, numbers = fit.security.sums, fit.security.numbers_per_sum
            sent = median(fit.security.bytes_sent_by_site.values()) / sums
            table.add_row(
                name, f"{len(tables)}", "Laplace" if nodes == 1 else f"AGH {nodes}", f"{sums}",
                f"{numbers[0]}, then {numbers[-1]}", f"{sent:.0f}", f"{fit.seconds['total']:.2f}",
            )  # fmt: skip
    return table


def network() -> Table:
    """Sums over gRPC with mutual TLS: masked beside plain, and both beside an empty round trip on the same connection.

    The protocols take turns, so that all see the same machine; a ratio is the median of the turns' ratios. All parties
    share one interpreter, so that the work of every site counts, which hospitals do at the same time.
    """
    table = Table(
        title="One sum over gRPC, mutual TLS on loopback, journal synced, all parties in one process",
        title_justify="left",
        caption="The masks of all sites are made by one interpreter, one after the other; hospitals make theirs at the "
        "same time. A site's own work is in the table without a network.",
        caption_justify="left",
    )
    for column in (
        "sites", "numbers", "empty, ms", "plain, ms", "masked, ms", "to plain", "dropouts = 1, ms", "to plain",
        "bytes a site: plain", "masked", "dropouts = 1",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for sites, numbers in ((4, 28), (3, 253), (10, 253), (50, 253), (3, 11_627), (10, 11_627)):
        # dropouts: three sites are the threshold of three; all 2,450 parcels of fifty would go through one interpreter
        asked = (("plain", 0), ("masking", 0), *((("masking", 1),) if 3 < sites < 50 else ()))
        turns = [[sum_over_grpc(sites, numbers, *protocol) for protocol in asked] for _ in range(RUNS)]
        plain, masked, *tolerant = zip(*turns, strict=True)
        table.add_row(
            f"{sites}", f"{numbers:,}", f"{median(cost.empty_ms for cost in plain):.2f}", _ms(plain),
            _ms(masked), _times(masked, plain),
            *((_ms(tolerant[0]), _times(tolerant[0], plain)) if tolerant else ("", "")),
            *(f"{each[0].bytes_per_site:,.0f}" for each in (plain, masked, *tolerant)),
        )  # fmt: skip
    return table


def _ms(turns: Sequence[Cost]) -> str:
    return f"{median(cost.sum_ms for cost in turns):.2f}"


def _times(turns: Sequence[Cost], base: Sequence[Cost]) -> str:
    return f"{median(cost.sum_ms / other.sum_ms for cost, other in zip(turns, base, strict=True)):.2f}"


def in_turn(*functions: Callable[[], object], runs: int = 7) -> list[float]:
    """Median milliseconds of each, in turn, so that all see the same machine."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(runs):
        for function, kept in zip(functions, times, strict=True):
            began = time.perf_counter()
            function()
            kept.append(1e3 * (time.perf_counter() - began))
    return [median(kept) for kept in times]


if __name__ == "__main__":
    main()
