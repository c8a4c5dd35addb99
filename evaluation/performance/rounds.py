"""How many sums a fit takes: the published simulations of Li et al. (2022), and public data spread over sites.

    python evaluation/performance/rounds.py [--traces]

A sum is a round trip between hospitals, the descriptive one included. The published figures beside ours are the steps
of Li et al. (2022, Table 2), which end at a threshold of 1e-3; ours end within 1e-8 standard errors of the maximum.

The paper gives no sizes of its "small" and "large" variance of the sites: 0.25 and 2.25 here (standard deviations 0.5
and 1.5). A data set is separated when a linear programme finds a combination of the fixed effects that predicts the
outcome without error in some row and errs in none (Albert and Anderson 1984): there is no maximum then.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.optimize import linprog

from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.newton import Maximum, Trace, describe, maximise
from fedglmm_secure.estimate.objective import Objective
from fedglmm_secure.model.answers import answer
from fedglmm_secure.model.design import Design, Layout
from fedglmm_secure.model.questions import Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.study import Study

DATA = Path(__file__).parents[2] / "tests" / "data"
SETTINGS = ((2, 500), (2, 500), (10, 500), (10, 500), (2, 30), (2, 30), (10, 30), (10, 30))
SIGMAS = (0.5, 1.5)
PUBLISHED = {
    1: (22.9, 21.5, 29.9, 27.8, 59.7, 67.2, 96.3, 116.1),
    2: (34.9, 35.0, 34.9, 36.7, 33.8, 31.4, 37.5, 37.2),
}
BETA = np.array([-1.5, 0.1, -0.5, -0.3, 0.4, -0.2, -0.25, 0.35, -0.1, 0.5])
DATA_SETS = 20


@dataclass(frozen=True)
class Course:
    """One fit: how many sums it took, and how it ended."""

    name: str
    sums: int
    end: str
    """One of fit, singular, named (an error that names the separating columns), or the error's first words."""
    decrements: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a study's [model] would say."""

    nodes: int
    tolerance: float = 1e-10
    max_rounds: int = 50


@dataclass(frozen=True)
class Case:
    """A model and the designs of its sites."""

    name: str
    layout: Layout
    designs: tuple[Design, ...]


def main() -> None:
    """Print the tables."""
    console = Console(width=120)
    table, everything = simulations()
    console.print(table)
    sums = [course.sums for course in everything if course.end in ("fit", "singular")]
    console.print(f"{len(sums)} fits: median {median(sums):g}, mean {np.mean(sums):.2f}, at most {max(sums)} sums\n")
    console.print(references())


def simulations() -> tuple[Table, list[Course]]:
    """The eight settings; separated data sets have no maximum and are counted apart."""
    table = Table(title="Sums a fit, 20 data sets a setting (median / maximum)", title_justify="left")
    for column in (
        "setting", "sites x rows", "sd", "Laplace", "Li 2022", "K = 2", "Li 2022", "singular", "separated: ended by",
        "sums",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    everything: list[Course] = []
    for setting, (sites, rows) in enumerate(SETTINGS, 1):
        cases = [simulated(setting, number) for number in range(DATA_SETS)]
        flags = [separated(case) for case in cases]
        regular = {k: [fit(c, k) for c, apart in zip(cases, flags, strict=True) if not apart] for k in (1, 2)}
        apart = [fit(c, k) for k in (1, 2) for c, flag in zip(cases, flags, strict=True) if flag]
        everything += regular[1] + regular[2]
        singular = sum(course.end == "singular" for k in (1, 2) for course in regular[k])
        ends = [course.end for course in apart]
        table.add_row(
            f"{setting}", f"{sites} x {rows}", f"{SIGMAS[(setting - 1) % 2]}",
            spread(regular[1]), f"{PUBLISHED[1][setting - 1]}", spread(regular[2]), f"{PUBLISHED[2][setting - 1]}",
            f"{singular}", ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends))),
            spread(apart),
        )  # fmt: skip
        show_traces(regular[1] + regular[2] + apart)
    return table, everything


def references() -> Table:
    """Public data of tests/data: each grouping at its own site, or groups dealt to a few sites."""
    table = Table(title="Sums a fit, public data", title_justify="left")
    for column in ("study", "sites", "Laplace", "K = 9", "end"):
        table.add_column(column, justify="left" if column in ("study", "end") else "right")
    for case, nodes in reference_cases():
        courses = [fit(case, k) for k in nodes]
        table.add_row(
            case.name, f"{len(case.designs)}", *(f"{course.sums}" for course in courses), *[""] * (2 - len(courses)),
            ", ".join(sorted({course.end for course in courses})),
        )  # fmt: skip
        show_traces(courses)
    return table


def show_traces(courses: list[Course]) -> None:
    """With --traces: the Newton decrement at each accepted concave point."""
    if "--traces" in sys.argv:
        for course in courses:
            decrements = " ".join("-" if each is None else f"{each:.0e}" for each in course.decrements)
            print(course.name, course.sums, course.end, decrements)


def spread(courses: list[Course]) -> str:
    """Median and maximum."""
    sums = [course.sums for course in courses]
    return f"{median(sums):g} / {max(sums)}" if sums else ""


def fit(case: Case, nodes: int) -> Course:
    """Ask until the fit ends."""
    trace = Trace(lambda _: None)

    def questions() -> Generator[Question, Vector, Maximum]:
        start = yield from describe(case.layout, trace)
        objective = Objective(case.layout, start.units)
        return (yield from maximise(objective, start, start.theta, Asked(nodes), trace))

    generator = questions()
    question = next(generator)
    asked = 1
    try:
        while True:
            answers = [answer(question, case.layout, design) for design in case.designs]
            question = generator.send(np.sum(answers, axis=0))
            asked += 1
    except StopIteration as stop:
        tau = stop.value.theta[len(stop.value.objective.units.columns) :]
        end = "singular" if len(tau) and np.abs(tau).max() < 1e-4 else "fit"
    except FitError as error:
        end = "named" if str(error).startswith("the estimate of") else str(error)[:30]
    return Course(case.name, asked, end, tuple(row.decrement for row in trace.rows[1:]))


def simulated(setting: int, number: int) -> Case:
    """A data set of the published design, drawn with the seed (setting, number)."""
    sites, rows = SETTINGS[setting - 1]
    rng = np.random.default_rng([setting, number])
    sigma = SIGMAS[(setting - 1) % 2]
    designs = []
    for site in range(sites):
        x = np.column_stack(
            [
                np.ones(rows),
                *(rng.random(rows) < share for share in (0.1, 0.3, 0.5)),
                *(rng.normal(0.0, sd, rows) for sd in (0.5, 1.0, 1.5)),
                *(rng.uniform(-half, half, rows) for half in (0.5, 0.7, 1.0)),
            ]
        )
        eta = x @ BETA + sigma * rng.normal()
        y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
        designs.append(
            Design(
                x, np.ones((rows, 1)), y, np.zeros(rows), np.ones(rows), 0.0, np.zeros(1, dtype=np.intp), (str(site),),
                np.zeros(0), 0,
            )
        )  # fmt: skip
    half = np.array([1.0, 0.5, 0.5, 0.5, 2.0, 4.0, 6.0, 0.5, 0.7, 1.0])
    centre = np.array([0.0, 0.5, 0.5, 0.5, *[0.0] * 6])
    layout = Layout(
        tuple(f"X{i}" for i in range(1, 11)), tuple(centre), tuple(half), 0, "site", ("Intercept",), (1,), (0.0,),
        (1.0,), (), "binomial",
    )  # fmt: skip
    return Case(f"setting {setting}, data set {number}", layout, tuple(designs))


def separated(case: Case) -> bool:
    """Whether some beta has (2 y - 1) x beta >= 0 in every row and more in one."""
    x, y = (np.concatenate([getattr(design, name) for design in case.designs]) for name in ("x", "y"))
    signed = (2.0 * y - 1.0)[:, None] * x
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(y)), bounds=(-1.0, 1.0))
    return bool(-found.fun > 1e-6)


def reference_cases() -> Iterator[tuple[Case, tuple[int, ...]]]:
    """Each public data set with its groups dealt to sites, and two with a site for every group."""
    for name, file, group, sites in (
        ("indo_rct", "indo_rct", "site", 4),
        ("medpar", "medpar", "provnum", 6),
        ("medpar-los", "medpar", "provnum", 6),
        ("medpar-los", "medpar", "provnum", 54),
        ("cbpp", "cbpp", "herd", 3),
        ("contraception", "Contraception", "district", 5),
        ("contraception", "Contraception", "district", 60),
        ("contraception-slope", "Contraception", "district", 5),
        ("epil", "epil", "subject", 4),
        ("epil-slope", "epil", "subject", 4),
        ("sleepstudy", "sleepstudy", "Subject", 3),
        ("medpar-glm", "medpar", "provnum", 6),
    ):
        study = Study.parse((DATA / "studies" / f"{name}.toml").read_text(), name)
        rows = pd.read_csv(DATA / f"{file}.csv")
        number = pd.factorize(rows[group])[0] % sites
        kept = rows if group != "site" else rows.drop(columns="site")
        designs = [study.design(part, str(at), name) for at, part in kept.groupby(number)]
        nodes = (1, 9) if study.layout.blocks == (1,) and study.layout.family != "gaussian" else (1,)
        yield Case(name, study.layout, tuple(designs)), nodes


if __name__ == "__main__":
    main()
