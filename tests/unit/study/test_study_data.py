"""The kept data sets and the example: their studies parse, and their designs are those that were fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.study import Study, parse_table

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "indomethacin"

TABLES = {
    "indo_rct": ("indo_rct.csv", 4, 0),
    "medpar": ("medpar.csv", 54, 0),
    "medpar-los": ("medpar.csv", 54, 0),
    "cbpp": ("cbpp.csv", 15, 0),
    "contraception": ("Contraception.csv", 60, 0),
    "contraception-slope": ("Contraception.csv", 60, 0),
    "epil": ("epil.csv", 59, 0),
    "epil-slope": ("epil.csv", 59, 0),
    "sleepstudy": ("sleepstudy.csv", 18, 1),
    "indo_rct-glm": ("indo_rct.csv", 1, 0),
    "medpar-glm": ("medpar.csv", 1, 0),
    "medpar-los-glm": ("medpar.csv", 1, 0),
    "sleepstudy-glm": ("sleepstudy.csv", 1, 1),
    "indo_rct-pql": ("indo_rct.csv", 4, 0),
    "medpar-pql": ("medpar.csv", 54, 0),
    "contraception-pql": ("Contraception.csv", 60, 0),
}
"""For each study its table, its groups, and how many columns stand for the response (the Gaussian family's one)."""


@pytest.fixture(scope="module")
def references() -> dict[str, dict]:
    mixed = json.loads((ROOT / "tests/data/reference.json").read_text())
    others = json.loads((ROOT / "tests/data/glm_reference.json").read_text())["fits"]
    cases = {case["id"]: {**case, "fixed_effects": case["fits"][0]["fixed_effects"]} for case in mixed}
    return cases | {fit["id"]: fit for fit in others}


def test_every_study_and_every_reference_has_its_counterpart(references):
    assert {path.stem for path in (ROOT / "tests/data/studies").glob("*.toml")} == set(TABLES) == set(references)


@pytest.mark.parametrize("name", TABLES)
def test_reference_studies(read_study, read_data, references, name):
    (table, groups, responses), study = TABLES[name], read_study(name)
    design = study.pooled_design(read_data(table), table)
    assert study.study.id == name
    assert study.model.family == references[name]["family"]
    assert (design.rows, design.groups, design.dropped) == (references[name]["rows"], groups, 0)
    assert len(study.layout.columns) == len(references[name]["fixed_effects"]) + responses
    scaled = (design.x - study.layout.centre) / study.layout.half
    assert np.abs(scaled).max() <= 1 + 1e-12


@pytest.mark.parametrize("name", [name for name in TABLES if name.endswith("-glm")])
def test_rs_glm_maximises_our_density(read_study, read_data, references, name):
    """R's estimates, put into our design, give R's log-likelihood: columns, response and constant are R's."""
    study, reference = read_study(name), references[name]
    design = study.pooled_design(read_data(TABLES[name][0]), name)
    beta = np.array(list(reference["fixed_effects"].values()))
    if study.model.family == "gaussian":
        n, p = design.rows, beta.size
        phi = np.sqrt(reference["dispersion"] * (n - p) / n)
        beta = np.append(beta, 1.0) / phi
    (density,) = FAMILIES[study.model.family].derivatives(design.x @ beta, design.y, design.weights, 0)
    scale = design.rows * np.log(beta[-1]) if study.model.family == "gaussian" else 0.0
    total = density.sum() + scale + design.constant
    assert total == pytest.approx(reference["log_likelihood"], rel=1e-12)


def test_contraception_columns(read_study):
    columns = ("Intercept", "livch[T.1]", "livch[T.2]", "livch[T.3+]", "age", "I(age ** 2)", "urban[T.Y]")
    assert read_study("contraception").layout.columns == columns


def test_the_example_is_the_published_trial_split_by_hospital(read_data):
    study = Study.parse((EXAMPLE / "study.toml").read_text(), "study.toml")
    pooled = study.pooled_design(read_data("indo_rct.csv"), "indo_rct.csv")
    files = sorted((EXAMPLE / "sites").glob("*.csv"))
    assert [file.stem for file in files] == [site.name for site in study.sites]
    designs = [study.design(parse_table(file.name, file.read_bytes()), file.stem, file.name) for file in files]
    assert [design.rows for design in designs] == [164, 413, 22, 3]
    np.testing.assert_array_equal(pooled.x, np.concatenate([design.x for design in designs]))
    np.testing.assert_array_equal(pooled.y, np.concatenate([design.y for design in designs]))
    assert pooled.group_names == tuple(file.stem for file in files)
