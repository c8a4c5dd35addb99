"""A site with keys, a study whose roster it stands in, and its table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fedglmm_secure.study import Study
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.identity import Identity

DATA = Path(__file__).parents[2] / "data"
ME = "1_UM"


@pytest.fixture(scope="session")
def identities() -> dict[str, Identity]:
    return {name: identity.generate() for name in ("1_UM", "2_IU", "3_UK", "4_Case", "coordinator")}


@pytest.fixture(scope="session")
def study(identities) -> Study:
    path = DATA / "studies" / "indo_rct.toml"
    data = Study.parse(path.read_text(), str(path)).model_dump(exclude_none=True)
    data["sites"] = [{"name": name} for name in identities if name != "coordinator"]
    return Study.from_dict(data, "test study").replaced(
        identities={
            name: (own.public_key, own.certificate) for name, own in identities.items() if name != "coordinator"
        },
        coordinator_certificate=identities["coordinator"].certificate,
    )


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    table = pd.read_csv(DATA / "indo_rct.csv", dtype=str)
    return table[table["site"] == ME].reset_index(drop=True)


def changed(study: Study, **changes: object) -> Study:
    """The study with other keys, written ``table__key=value``."""
    data = study.model_dump(exclude_none=True)
    for key, value in changes.items():
        name, _, inner = key.partition("__")
        data.setdefault(name, {})[inner] = value
    return Study.from_dict(data, "changed")


@pytest.fixture(name="changed", scope="session")
def _changed():
    return changed
