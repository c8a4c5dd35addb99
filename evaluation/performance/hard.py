"""Hard data: sums a fit where effects are many or far out, counts large, groups few, slopes far from 0.

    python evaluation/performance/hard.py [--failures]

Seven kinds of model, 100 data sets each: three to sixty groups of 4, 10 or 30 rows, up to four random terms of true
standard deviations 0 to about 2, fitted pooled. Some have no maximum: their columns separate a binary outcome, or the
effects explain every row; these end in an error, which --failures prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from fedglmm_secure import Study, fit_pooled
from fedglmm_secure.errors import FitError

DATA_SETS = 100
TERMS = {
    "(1 | g)": 1,
    "(1 + x | g)": 2,
    "(1 | g) + (0 + x | g)": 2,
    "(1 + x + z | g)": 3,
    "(1 + x + z + w | g)": 4,
}
SDS = (0.0, 0.2, 0.6, 1.0)
CENTRES = (0.0, 0.0, 0.0, 3.0, 50.0)
"""Where x lies, in its standard deviations."""


@dataclass(frozen=True)
class Kind:
    """What is fixed of the data sets of a row in the table; the rest is drawn."""

    name: str
    families: tuple[str, ...] = ("binomial", "poisson", "gaussian")
    random: tuple[str, ...] = tuple(TERMS)
    groups: tuple[int, ...] = (6, 12, 30, 60)
    level: float = 0.0
    """Of the linear predictor."""
    centres: tuple[float, ...] = CENTRES
    model: tuple[tuple[str, Any], ...] = ()


KINDS = (
    Kind("any"),
    Kind("four random terms", random=("(1 + x + z + w | g)",)),
    Kind("large counts", families=("poisson",), level=6.0),
    Kind("3 to 6 groups", groups=(3, 4, 5, 6)),
    Kind("AGH, K = 5, two terms", ("binomial", "poisson"), ("(1 + x | g)",), model=(("method", "agh"), ("nodes", 5))),
    Kind("independent slope, x at 50", ("poisson",), ("(1 | g) + (0 + x | g)",), centres=(50.0,)),
    Kind("PQL", families=("binomial", "poisson"), model=(("method", "pql"),)),
)


def main() -> None:
    """Print the table."""
    table = Table(title=f"Sums a fit, {DATA_SETS} hard data sets a kind", title_justify="left")
    for column in ("kind", "fits", "median", "mean", "above 12", "most"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind in KINDS:
        sums = list(fits(kind))
        table.add_row(
            kind.name, f"{len(sums)}", f"{median(sums):g}", f"{np.mean(sums):.2f}", f"{sum(n > 12 for n in sums)}",
            f"{max(sums)}",
        )  # fmt: skip
    Console(width=100).print(table)


def fits(kind: Kind) -> Iterator[int]:
    """The sums of each fit that ends at a maximum."""
    for number in range(DATA_SETS):
        study, rows = simulated(kind, number)
        try:
            yield fit_pooled(study, rows).security.sums
        except FitError as error:
            if "--failures" in sys.argv:
                print(f"{kind.name}, data set {number}: {error}")


def simulated(kind: Kind, number: int) -> tuple[Study, pd.DataFrame]:
    """Data set ``number`` of a kind, drawn with that seed."""
    rng = np.random.default_rng([number, 77])
    family, random = str(rng.choice(kind.families)), str(rng.choice(kind.random))
    groups, size, centre = int(rng.choice(kind.groups)), int(rng.choice([4, 10, 30])), float(rng.choice(kind.centres))
    g, q = np.repeat(np.arange(groups), size), TERMS[random]
    rows = pd.DataFrame({name: rng.normal(size=g.size) for name in "xzw"})
    Lambda = np.tril(rng.normal(size=(q, q))) * rng.choice(SDS, size=(q, 1))
    if ") + (" in random:
        Lambda = np.diag(np.diag(Lambda))
    effects = (rng.normal(size=(groups, q)) @ Lambda.T)[g]
    z = np.column_stack([np.ones(g.size), rows])[:, :q]
    eta = 0.7 * rng.normal() + 0.5 * rows["x"] - 0.3 * rows["z"] + np.sum(z * effects, axis=1)
    if kind.level:
        eta = kind.level + 0.5 * eta
    if family == "binomial":
        y = (rng.random(g.size) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    elif family == "poisson":
        y = rng.poisson(np.exp(np.clip(eta, -20.0, 12.0))).astype(float)
    else:
        y = eta + rng.normal(size=g.size) * rng.choice([0.3, 1.0, 3.0])
    rows["x"] += centre
    site = np.array(["east", "north", "west"])[g % 3]
    return _study(f"hard-{number}", family, random, kind, rows), rows.assign(y=y, g=g, site=site)


def _study(name: str, family: str, random: str, kind: Kind, rows: pd.DataFrame) -> Study:
    outcome = {
        "binomial": {"type": "binary", "levels": [0, 1]},
        "poisson": {"type": "count", "range": [0, 10_000_000]},
        "gaussian": {"type": "numeric", "range": [-1e6, 1e6]},
    }[family]
    used = "xzw" if "w" in random else "xz"
    ranges = {name: [float(rows[name].min()) - 1.0, float(rows[name].max()) + 1.0] for name in used}
    return Study.from_dict(
        {
            "study": {"id": name},
            "model": {"formula": f"y ~ {' + '.join(used)} + {random}", "family": family, **dict(kind.model)},
            "variables": {
                "y": outcome,
                "g": {"type": "group"},
                **{name: {"type": "numeric", "range": bounds} for name, bounds in ranges.items()},
            },
            "sites": [{"name": site} for site in ("east", "north", "west")],
        },
        f"{name}.toml",
    )


if __name__ == "__main__":
    main()
