"""A whole pooled fit beside lme4::glmer on the same rows, where R with lme4 is installed."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from rich.table import Table

from fedglmm_secure import Study, fit_pooled

LIMIT_SECONDS = 1800
SCRIPT = """
suppressMessages(library(lme4))
arguments <- commandArgs(TRUE)
rows <- read.csv(arguments[1])
seconds <- system.time(
  fit <- suppressWarnings(glmer(as.formula(arguments[2]), rows, family = binomial, nAGQ = 1))
)[["elapsed"]]
cat(seconds, format(as.numeric(logLik(fit)), digits = 15))
"""


def has_lme4() -> bool:
    """Whether there is an R with lme4."""
    if shutil.which("Rscript") is None:
        return False
    return subprocess.run(["Rscript", "-e", "library(lme4)"], capture_output=True, check=False).returncode == 0


def whole_fits(sizes: tuple[tuple[int, int], ...]) -> Table:
    """Laplace fits with 50 groups for each (rows, columns): seconds of both, their ratio and log-likelihoods."""
    table = Table(title="Whole pooled fit by Laplace, 50 groups, beside lme4::glmer", title_justify="left")
    for column in ("rows", "columns", "seconds", "seconds lme4", "times faster", "log-likelihood", "lme4's"):
        table.add_column(column, justify="right")
    for rows, columns in sizes:
        frame, study = simulated(rows, columns)
        began = time.perf_counter()
        fit = fit_pooled(study, frame)
        ours = time.perf_counter() - began
        theirs, value = glmer(frame, study.model.formula)
        table.add_row(
            f"{rows:,}", f"{columns}", f"{ours:.2f}", f"{theirs:.1f}", f"{theirs / ours:.0f}",
            f"{fit.log_likelihood:.6f}", f"{value:.6f}",
        )  # fmt: skip
    return table


def glmer(frame: pd.DataFrame, formula: str) -> tuple[float, float]:
    """Seconds that glmer takes, without reading the data, and its log-likelihood."""
    with TemporaryDirectory() as folder:
        data, script = Path(folder) / "rows.csv", Path(folder) / "fit.R"
        frame.to_csv(data, index=False)
        script.write_text(SCRIPT)
        command = ["Rscript", str(script), str(data), formula]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_SECONDS)
    seconds, value = ended.stdout.split()
    return float(seconds), float(value)


def simulated(rows: int, columns: int) -> tuple[pd.DataFrame, Study]:
    """Rows of a logistic mixed model with ``columns`` fixed effects, the intercept included, and 50 groups."""
    rng = np.random.default_rng(1)
    names = [f"x{i}" for i in range(1, columns)]
    frame = pd.DataFrame(rng.normal(size=(rows, columns - 1)).clip(-6, 6), columns=names)
    frame["g"] = rng.integers(50, size=rows)
    eta = -0.5 + frame[names] @ rng.normal(scale=0.3, size=columns - 1) + 0.7 * rng.normal(size=50)[frame["g"]]
    frame["y"] = (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(int)
    study = Study.from_dict(
        {
            "study": {"id": "bench"},
            "model": {"formula": f"y ~ {' + '.join(names)} + (1 | g)", "family": "binomial"},
            "variables": {
                "y": {"type": "binary", "levels": [0, 1]},
                "g": {"type": "group"},
                **{name: {"type": "numeric", "range": [-6, 6]} for name in names},
            },
        },
        "bench",
    )
    return frame, study
