"""``fedglmm paillier deal``: the ceremony as a dealer runs it, and what it leaves."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fedglmm_secure import shell
from fedglmm_secure.study import Study

FEDGLMM = Path(sys.executable).parent / "fedglmm"
DRAFT = Path(__file__).parents[2] / "examples" / "indomethacin" / "study.toml"
NAMES = ("1_UM", "2_IU", "3_UK", "4_Case")


def fedglmm(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([FEDGLMM, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Four sites make keys, the study's author adds them, the dealer deals."""
    folder = tmp_path_factory.mktemp("ceremony")
    for name in NAMES:
        assert fedglmm("keys", "new", folder / "keys" / name).returncode == 0
    public = {name: tomllib.loads((folder / "keys" / name / "public.toml").read_text()) for name in NAMES}
    study = Study.parse(DRAFT.read_text(), str(DRAFT)).replaced(
        identities={name: (public[name]["public_key"], public[name]["certificate"]) for name in NAMES},
        encryption_keys={name: public[name]["encryption_key"] for name in NAMES},
    )
    (folder / "study.toml").write_text(study.to_toml())
    ended = fedglmm("paillier", "deal", folder / "study.toml", "--out", folder / "new" / "dealt")
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout


def test_every_site_gets_a_share_that_it_can_read(ceremony: tuple[Path, str]) -> None:
    folder, _ = ceremony
    dealt = folder / "new" / "dealt"
    assert sorted(path.name for path in dealt.iterdir()) == [*(f"{name}.share" for name in NAMES), "study.toml"]
    assert {path.stat().st_mode & 0o777 for path in dealt.iterdir()} == {0o600}
    assert [path.name for path in dealt.parent.iterdir()] == ["dealt"]
    study = shell.read_study(dealt / "study.toml")
    assert study.paillier is not None
    assert study.paillier.threshold == 3
    for place, name in enumerate(NAMES, start=1):
        own = shell.read_identity(folder / "keys" / name)
        assert shell.read_share(dealt / f"{name}.share", own, study).index == place


def test_plain_words(ceremony: tuple[Path, str]) -> None:
    folder, said = ceremony
    study = shell.read_study(folder / "new" / "dealt" / "study.toml")
    assert study.hexdigest in said
    assert shell.read_study(folder / "study.toml").hexdigest in said
    for words in ("3072 bits", "Any 3 of them", "approve it anew", "held the whole key", "deal again"):
        assert words in said
    assert "legacy" not in said
    (without,) = study.warnings()
    assert without.startswith("coordinator: has no certificate")


def test_nothing_is_overwritten(ceremony: tuple[Path, str]) -> None:
    folder, _ = ceremony
    before = {path: path.read_bytes() for path in (folder / "new" / "dealt").iterdir()}
    ended = fedglmm("paillier", "deal", folder / "study.toml", "--out", folder / "new" / "dealt")
    assert ended.returncode == 2
    assert "already exists; choose a new --out folder" in ended.stderr
    assert {path: path.read_bytes() for path in (folder / "new" / "dealt").iterdir()} == before


def test_the_legacy_size_is_labelled(ceremony: tuple[Path, str]) -> None:
    folder, _ = ceremony
    ended = fedglmm("paillier", "deal", folder / "study.toml", "--out", folder / "legacy", "--bits", 2048)
    assert ended.returncode == 0, ended.stderr
    assert "2048 bits are a legacy option" in ended.stdout
    checked = fedglmm("study", "check", folder / "legacy" / "study.toml")
    assert "warning: paillier.modulus: is shorter than 3072 bits" in checked.stdout


def test_a_dealt_study_is_dealt_anew(ceremony: tuple[Path, str]) -> None:
    folder, _ = ceremony
    ended = fedglmm("paillier", "deal", folder / "new" / "dealt" / "study.toml", "--out", folder / "again")
    assert ended.returncode == 0, ended.stderr
    first, again = (shell.read_study(path / "study.toml") for path in (folder / "new" / "dealt", folder / "again"))
    assert first.paillier != again.paillier
    assert first.replaced(protocol="masking") == again.replaced(protocol="masking")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([DRAFT, "--out", "x"], f"{DRAFT}: sites: 1_UM, 2_IU, 3_UK, 4_Case have no public_key"),
        (["STUDY", "--out", "x", "--bits", "1024"], "has 3072 bits, or 2048 as a legacy option, not 1024"),
        (["STUDY"], "--out"),
        (["none.toml", "--out", "x"], "none.toml: cannot be read"),
    ],
)
def test_wrong_input_leaves_nothing(
    arguments: list[object], sentence: str, ceremony: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = ceremony
    places = {"STUDY": folder / "study.toml", "x": tmp_path / "out" / "x"}
    ended = fedglmm("paillier", "deal", *(places.get(str(argument), argument) for argument in arguments))
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
