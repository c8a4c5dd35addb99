"""Fits of every kind, as they come out of a rehearsal."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from fedglmm_secure import Study
from fedglmm_secure.rehearsal.memory import Rehearsal, rehearse_in_memory

DATA = Path(__file__).parents[2] / "data"
KINDS: dict[str, tuple[str, str, dict]] = {
    "logistic": ("indo_rct", "indo_rct", {}),
    "poisson-slope": ("epil-slope", "epil", {}),
    "linear": ("sleepstudy", "sleepstudy", {}),
    "glm": ("indo_rct-glm", "indo_rct", {}),
    "linear-glm": ("sleepstudy-glm", "sleepstudy", {}),
    "path": ("epil", "epil", {"penalty": [0.0, 1.0, 10.0, 100.0], "selection": "bic"}),
    "validation": ("medpar", "medpar", {"penalty": [0.0, 10.0], "selection": "validation"}),
}


@cache
def rehearsed(kind: str) -> Rehearsal:
    file, table, model = KINDS[kind]
    data = Study.parse((DATA / "studies" / f"{file}.toml").read_text(), file).model_dump()
    rows = pd.read_csv(DATA / f"{table}.csv")
    group = next((column for column in ("site", "subject", "Subject", "provnum") if column in rows), "")
    sites = rows["site"] if group == "site" else pd.Series(pd.factorize(rows[group])[0] % 3).map("hospital-{}".format)
    data["model"] |= model
    data["sites"] = [{"name": name} for name in sites.unique()]
    tables = {name: part.drop(columns="site", errors="ignore") for name, part in rows.groupby(sites)}
    return rehearse_in_memory(Study.from_dict(data, kind), tables)


@pytest.fixture(scope="session")
def rehearsal() -> Callable[[str], Rehearsal]:
    """A rehearsal by the name of its kind."""
    return rehearsed


@pytest.fixture(params=list(KINDS), scope="session")
def each(request: pytest.FixtureRequest) -> Rehearsal:
    """Every kind in turn."""
    return rehearsed(request.param)
