"""Every disclosure limit, refused by the sites themselves: its sentence, and what had been sent by then."""

from __future__ import annotations

import secrets
from pathlib import Path

import pandas as pd
import pytest

from fedglmm_secure.errors import RefusalError
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.exchange import Conductor
from fedglmm_secure.rehearsal.memory import rehearsal_copy, site_at_hand
from fedglmm_secure.rehearsal.network import Network
from fedglmm_secure.study import Study
from fedglmm_secure.wire import codec, identity
from fedglmm_secure.wire.messages import Refusal

EXAMPLE = Path(__file__).parents[3] / "examples" / "indomethacin"
LINEAR = 'family = "binomial"\nmethod = "agh"\nnodes = 9', 'family = "binomial"\nmethod = "pql"'


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {path.stem: pd.read_csv(path) for path in sorted((EXAMPLE / "sites").glob("*.csv"))}


def sent_before_refusal(study: Study, tables: dict[str, pd.DataFrame], sentence: str) -> list[tuple[str, int]]:
    """Kind and sum of each message that reached the coordinator, refusals apart."""
    error, transcript = refused_fit(study, tables)
    assert sentence in str(error)
    messages = [codec.decode_site(data) for data in transcript]
    return [
        (type(message).__name__, getattr(message, "number", 0)) for message in messages if type(message) is not Refusal
    ]


def refused_fit(study: Study, tables: dict[str, pd.DataFrame]) -> tuple[RefusalError, list[bytes]]:
    owners = {name: identity.generate() for name in tables}
    run, _ = rehearsal_copy(study, owners, None)
    conductor = Conductor(
        run, lambda: estimator(run, lambda _: None), randomness=secrets.token_bytes, keep=lambda _: ""
    )
    transcript: list[tuple[str, bytes]] = []
    try:
        sites = {
            name: site_at_hand(run, run.design(tables[name], name, name), name, own.signing)
            for name, own in owners.items()
        }
        network = Network(conductor, sites)
        transcript = network.transcript
        network.run()
    except RefusalError as error:
        return error, [data for _, data in transcript]
    raise AssertionError("the study was not refused")


def with_limits(limits: str, *changes: tuple[str, str]) -> Study:
    text = (EXAMPLE / "study.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    head, tables = text.split("[disclosure]")
    rest = tables[tables.index("[[sites]]") :]
    return Study.parse(f"{head}[disclosure]\n{limits}\n{rest}", "study.toml")


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ("minimum_cell = 80", "minimum_cell = 80"),
        ("minimum_rows = 603", "minimum_rows = 603"),
        ("maximum_parameters_per_row = 0.009", "maximum_parameters_per_row = 0.009"),
        ("maximum_levels_per_row = 0.003", "maximum_levels_per_row = 0.003"),
    ],
)
def test_a_pooled_limit_is_enforced_before_the_first_question_about_the_model(tables, limits, sentence) -> None:
    sent = sent_before_refusal(with_limits(limits), tables, sentence)
    assert sent == [("Hello", 0)] * 4 + [("Contribution", 1)] * 4


@pytest.mark.parametrize(
    ("limits", "changes", "sentence"),
    [("maximum_levels = 2", [('"0_placebo", "1_in', '"0_placebo", "more", "1_in')], "maximum_levels = 2"),
     ("", [LINEAR], "few_groups")],
)  # fmt: skip
def test_what_the_study_alone_shows_is_refused_before_anything_is_sent(tables, limits, changes, sentence) -> None:
    assert sent_before_refusal(with_limits(limits, *changes), tables, sentence) == []
