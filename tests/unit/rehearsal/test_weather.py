"""Weather: chances, counts, and a user's own study under it."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path

import pandas as pd
import pytest

from fedglmm_secure.errors import FedglmmError, InputError
from fedglmm_secure.rehearsal import Weather, memory, rehearse_in_memory
from fedglmm_secure.rehearsal.hostile import HostileNetwork
from fedglmm_secure.rehearsal.weather import CALM, Dice, damaged
from fedglmm_secure.wire.audit import check_log, read_heads

EXAMPLE = Path(__file__).parents[3] / "examples" / "indomethacin"
KINDS = [field.name for field in fields(Weather) if field.name not in ("seed", "disturbances")]


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {path.stem: pd.read_csv(path) for path in sorted((EXAMPLE / "sites").glob("*.csv"))}


@pytest.mark.parametrize("change", [{"crashes": 1.5}, {"delayed": -0.1}, {"stale": float("nan")}, {"seed": -1}])
def test_what_is_no_chance_is_refused(change: dict) -> None:
    with pytest.raises(InputError):
        replace(CALM, **change)


@pytest.mark.parametrize("kind", KINDS)
def test_a_disturbance_happens_as_often_as_its_chance_says_until_the_weather_is_calm(kind: str) -> None:
    never = dict.fromkeys(KINDS, 0.0)
    dice = Dice(Weather(1, **{**never, kind: 1.0}, disturbances=3))
    assert [dice.strikes(kind) for _ in range(5)] == [True, True, True, False, False]
    assert not any(dice.strikes(other) for other in KINDS)
    assert dice.summary().startswith("3 ")
    often = Dice(Weather(2, **{**never, kind: 0.25}, disturbances=10**6))
    assert sum(often.strikes(kind) for _ in range(4000)) == pytest.approx(1000, abs=110)  # four standard deviations


def test_damage_changes_or_shortens() -> None:
    draw = random.Random(1)
    data = bytes(range(200))
    for _ in range(200):
        wrong = damaged(data, draw)
        assert len(wrong) <= len(data)
    assert {len(damaged(data, draw)) < len(data) for _ in range(100)} == {True, False}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_study_is_rehearsed_in_weather_to_the_same_answer(tables, seed: int) -> None:
    calm = rehearse_in_memory(EXAMPLE / "study.toml", tables)
    rehearsal = rehearse_in_memory(EXAMPLE / "study.toml", tables, weather=Weather(seed))
    assert calm.weather is None
    assert rehearsal.result.log_likelihood == calm.result.log_likelihood
    assert rehearsal.weather is not None
    assert rehearsal.weather.startswith(f"weather {seed}: ")
    assert rehearsal.weather.endswith("the answer is the same as without, to the last bit")
    for name in tables:
        files = rehearsal.audits[name]()
        (head, copy) = read_heads(files["audit.head"])
        assert head == copy
        kinds = [line.kind for line in check_log(files["audit.log"], head)]
        assert kinds.count("contribution") >= len(rehearsal.result.trace)
    assert len(rehearsal.transcript) != len(calm.transcript)


def test_another_answer_would_be_noticed(tables, monkeypatch) -> None:
    class Wrong(HostileNetwork):
        def run(self):
            honest = self.conductor._coordinator.total
            self.conductor._coordinator.total = lambda: honest() + 1e-9
            return super().run()

    monkeypatch.setattr(memory, "HostileNetwork", Wrong)
    with pytest.raises(FedglmmError, match="not the undisturbed one"):
        rehearse_in_memory(EXAMPLE / "study.toml", tables, weather=Weather(1))
