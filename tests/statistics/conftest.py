"""The reference data: tables, studies and the fits that R gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from fedglmm_secure import Study

DATA = Path(__file__).parents[1] / "data"
FILES = {
    "indo_rct": "indo_rct",
    "medpar": "medpar",
    "medpar-los": "medpar",
    "cbpp": "cbpp",
    "contraception": "Contraception",
    "contraception-slope": "Contraception",
    "epil": "epil",
    "epil-slope": "epil",
    "sleepstudy": "sleepstudy",
}


@dataclass(frozen=True)
class Case:
    """One data set: its study, its pooled table, and the reference fits by number of nodes."""

    name: str
    study: Study
    table: pd.DataFrame
    fits: dict[int, dict]

    def over(self, sites: pd.Series, nodes: int) -> tuple[Study, dict[str, pd.DataFrame], pd.DataFrame]:
        """The study with this number of nodes over these sites, each site's table, and the pooled one.

        Where every group is a site of its own the groups are written as ``site``.
        """
        group = self.study.layout.group
        data = self.study.model_dump()
        if self.study.model.method in ("laplace", "agh"):
            data["model"] |= {"nodes": nodes, "method": "laplace" if nodes == 1 else "agh"}
        if group in self.table and self.table[group].equals(sites):
            data["model"]["formula"] = data["model"]["formula"].replace(f"| {group}", "| site")
            data["variables"].pop(group, None)
        names = sites.map(lambda value: f"hospital-{value}")
        data["sites"] = [{"name": name} for name in names.unique()]
        pooled = self.table.assign(site=names)
        tables = {name: rows.drop(columns="site") for name, rows in pooled.groupby("site")}
        return Study.from_dict(data, self.name), tables, pooled


def load(name: str) -> Case:
    """A data set of tests/data, with the study of that name."""
    study = Study.parse((DATA / "studies" / f"{name}.toml").read_text(), f"{name}.toml")
    base = name.removesuffix("-glm").removesuffix("-pql")
    references = {entry["id"]: entry for entry in json.loads((DATA / "reference.json").read_text())}
    # glmmTMB for Laplace, whose optimum and standard errors are the more exact ones there; lme4 for quadrature
    fits = {
        fit["nodes"]: fit
        for fit in references[base]["fits"]
        if fit["method"] != "laplace" or fit["engine"].startswith("glmmTMB")
    }
    return Case(name, study, pd.read_csv(DATA / f"{FILES[base]}.csv"), fits)


@pytest.fixture(scope="session")
def load_case() -> Callable[[str], Case]:
    """Loads a data set by name."""
    return load
