"""The kept data sets and the example: their studies parse, and their designs are those that were fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fedglmm_secure.study import Study, parse_table

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "indomethacin"

R_NAMES = {
    "indo_rct": ["(Intercept)", "rx1_indomethacin", "age", "risk", "gender2_male"],
    "medpar": ["(Intercept)", "hmo", "white", "age80", "type2", "type3"],
    "contraception": ["(Intercept)", "livch1", "livch2", "livch3+", "age", "I(age^2)", "urban"],
}


@pytest.mark.parametrize(
    ("name", "table", "shape"),
    [
        ("indo_rct", "indo_rct.csv", (4, 79)),
        ("medpar", "medpar.csv", (54, 513)),
        ("contraception", "Contraception.csv", (60, 759)),
    ],
)
def test_reference_studies(read_study, read_data, name, table, shape):
    study = read_study(name)
    design = study.pooled_design(read_data(table), table)
    cases = {case["id"]: case for case in json.loads((ROOT / "tests/data/reference.json").read_text())}
    assert design.rows == cases[name]["rows"]
    assert (design.groups, design.y.sum(), design.dropped) == (*shape, 0)
    assert list(cases[name]["fits"][0]["fixed_effects"]) == R_NAMES[name]
    assert len(study.layout.columns) == len(R_NAMES[name])
    scaled = (design.x - study.layout.centre) / study.layout.half
    assert np.abs(scaled).max() <= 1 + 1e-12


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
