"""Small data sets with several random terms, many of them singular: sums a fit, and whether all roads end at one point.

    python evaluation/performance/small.py [--traces] [--r]

160 data sets of 8 to 20 groups of 3 to 10 rows, three families, two or three random terms, true standard deviations
often 0. Each is fitted pooled and over three sites, whose sums go through the fixed point; the two differ in their
starts, as sites expand their own likelihoods. With --r every eighth is fitted by lme4 and glmmTMB too (R with both).
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from fedglmm_secure import FitResult, Study, ring
from fedglmm_secure.errors import FitError
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.model.answers import answer
from fedglmm_secure.model.design import Design
from fedglmm_secure.ring import Vector

DATA_SETS = 160
SAMPLE = 8
SITES = ("east", "north", "west")
FAMILIES = ("binomial", "poisson", "gaussian")
RANDOM = (
    "(1 + x | g)", "(1 | g) + (0 + x | g)", "(1 + h | g)", "(1 + x + h | g)", "(1 | g) + (0 + x | g) + (0 + h | g)",
    "(1 + x | g) + (0 + h | g)",
)  # fmt: skip
SDS = (0.0, 0.0, 0.5, 1.0)
"""What a random term's true standard deviation is drawn from."""
SCRIPT = """
suppressMessages({library(lme4); library(glmmTMB)})
cases <- jsonlite::fromJSON(file.path(commandArgs(TRUE)[1], "cases.json"))
best <- function(...) max(unlist(list(...)), -Inf)
# glmmTMB's logLik is NA where its Hessian is not positive definite, as it is on the boundary
value <- function(fit)
  tryCatch(if (is(fit, "merMod")) as.numeric(logLik(fit)) else -fit$fit$objective, error = function(e) NULL)
cat(sapply(seq_len(nrow(cases)), function(i) suppressMessages(suppressWarnings({
  d <- read.csv(file.path(commandArgs(TRUE)[1], cases$file[i])); f <- as.formula(cases$formula[i])
  family <- get(cases$family[i])
  lme <- if (cases$family[i] == "gaussian") value(lmer(f, d, REML = FALSE)) else value(glmer(f, d, family))
  format(best(lme, value(glmmTMB(f, d, family))), digits = 15)
}))))
"""


@dataclass(frozen=True)
class Case:
    """A data set and its model."""

    number: int
    study: Study
    rows: pd.DataFrame


@dataclass(frozen=True)
class Course:
    """One fit: its sums, and its result or how it failed."""

    sums: int
    result: FitResult | None
    error: str
    decrements: tuple[float | None, ...]


def main() -> None:
    """Print the figures."""
    console = Console(width=120)
    courses = []
    for number in range(DATA_SETS):
        case = simulated(number)
        courses.append((case, fit(case, (None,)), fit(case, SITES)))
        if "--traces" in sys.argv:
            show(*courses[-1])
    table = Table(title=f"{DATA_SETS} small data sets", title_justify="left")
    for column in ("fit", "converged", "median", "mean", "above 14", "most", "singular"):
        table.add_column(column, justify="right")
    for name, fits in (("pooled", [c[1] for c in courses]), ("three sites", [c[2] for c in courses])):
        ended = [fit for fit in fits if fit.result]
        sums = [fit.sums for fit in ended]
        table.add_row(
            name, f"{len(ended)}", f"{median(sums):g}", f"{np.mean(sums):.2f}", f"{sum(n > 14 for n in sums)}",
            f"{max(sums)}", f"{sum(fit.result.singular for fit in ended if fit.result)}",
        )  # fmt: skip
    console.print(table)
    pairs = [(one.result, two.result) for _, one, two in courses if one.result and two.result]
    print(f"pooled and over sites: at most {max(distance(*pair) for pair in pairs):.1e} standard errors apart")
    if "--r" in sys.argv:
        against_r([(case, one.result) for case, one, _ in courses[::SAMPLE] if one.result])


def simulated(number: int) -> Case:
    """Data set ``number``, drawn with that seed."""
    rng = np.random.default_rng([number, 160])
    family, random = FAMILIES[number % 3], RANDOM[number // 3 % len(RANDOM)]
    groups = int(rng.integers(8, 21))
    sizes = rng.integers(3, 11, groups)
    g = np.repeat(np.arange(groups), sizes)
    x, h = rng.normal(size=g.size).clip(-4, 4), (rng.random(g.size) < 0.5).astype(float)
    sd = rng.choice(SDS, 3)
    root = np.linalg.cholesky(np.array([[1.0, 0.3, 0.0], [0.3, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    b = (rng.normal(size=(groups, 3)) @ root.T * sd)[g]
    eta = 0.3 + 0.4 * x - 0.3 * h + b[:, 0] + b[:, 1] * x + b[:, 2] * h
    if family == "binomial":
        y = (rng.random(g.size) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    else:
        y = rng.poisson(np.exp(np.clip(eta, -5.0, 5.0))) if family == "poisson" else eta + rng.normal(size=g.size)
    rows = pd.DataFrame({"y": y, "x": x, "h": h, "g": g, "site": np.array(SITES)[g % 3]})
    outcome = {
        "binomial": {"type": "binary", "levels": [0, 1]},
        "poisson": {"type": "count"},
        "gaussian": {"type": "numeric", "range": [-30.0, 30.0]},
    }[family]
    study = Study.from_dict(
        {
            "study": {"id": f"small-{number}"},
            "model": {"formula": f"y ~ x + h + {random}", "family": family},
            "variables": {
                "y": outcome,
                "x": {"type": "numeric", "range": [-4.0, 4.0]},
                "h": {"type": "binary", "levels": [0, 1]},
                "g": {"type": "group"},
            },
            "sites": [{"name": name} for name in SITES],
        },
        f"small-{number}",
    )
    return Case(number, study, rows)


def fit(case: Case, sites: tuple[str | None, ...]) -> Course:
    """Pooled in floating point with sites = (None,), else with each site's answer through the fixed point."""
    study, rows = case.study, case.rows
    if sites == (None,):
        designs: list[Design] = [study.pooled_design(rows, "pooled")]
    else:
        designs = [study.design(rows[rows["site"] == site].drop(columns="site"), str(site), "rows") for site in sites]
    decrements: list[float | None] = []
    generator = estimator(study, lambda row: decrements.append(row.decrement))
    try:
        question = next(generator)
        while True:
            answers = [answer(question, study.layout, design) for design in designs]
            total = answers[0] if sites == (None,) else summed(answers, question.slots(study.layout))
            question = generator.send(total)
    except StopIteration as end:
        return Course(len(decrements), end.value, "", tuple(decrements))
    except FitError as error:
        return Course(len(decrements), None, str(error), tuple(decrements))


def summed(answers: list[Vector], names: tuple[str, ...]) -> Vector:
    """As the coordinator's total."""
    return ring.decode_sum(reduce(ring.add, (ring.encode(each, names) for each in answers)), len(answers))


def distance(one: FitResult, two: FitResult) -> float:
    """The largest difference between fixed effects, in standard errors."""
    pairs = zip(one.fixed_effects, two.fixed_effects, strict=True)
    return max(abs(a.estimate - b.estimate) / a.std_error for a, b in pairs)


def show(case: Case, pooled: Course, federated: Course) -> None:
    """With --traces: how both fits went."""
    model = case.study.model
    apart = distance(pooled.result, federated.result) if pooled.result and federated.result else np.nan
    values = [f"{fit.result.log_likelihood:.8f}" if fit.result else fit.error[:60] for fit in (pooled, federated)]
    print(case.number, model.family, model.formula, pooled.sums, federated.sums, f"{apart:.0e}", *values)
    for fit in (pooled, federated):
        print("    ", " ".join("-" if each is None else f"{each:.0e}" for each in fit.decrements))


def against_r(fits: list[tuple[Case, FitResult]]) -> None:
    """Our log-likelihoods beside the better of lme4's and glmmTMB's."""
    with TemporaryDirectory() as folder:
        cases = []
        for case, _ in fits:
            case.rows.to_csv(Path(folder) / f"{case.number}.csv", index=False)
            model = case.study.model
            cases.append({"file": f"{case.number}.csv", "formula": model.formula, "family": model.family})
        (Path(folder) / "cases.json").write_text(json.dumps(cases))
        done = subprocess.run(["Rscript", "-e", SCRIPT, folder], capture_output=True, text=True, check=True)
    theirs = np.array(done.stdout.split(), dtype=float)
    gain = np.array([result.log_likelihood for _, result in fits], dtype=float) - theirs
    print(
        f"{len(fits)} log-likelihoods less the better of lme4's and glmmTMB's: "
        f"least {gain.min():.1e}, median {np.median(gain):.1e}, most {gain.max():.1e}"
    )


if __name__ == "__main__":
    main()
