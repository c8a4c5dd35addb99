"""What ``check`` lists is exactly what the guard lets through, number by number and byte by byte."""

from __future__ import annotations

import pytest

from fedglmm_secure.errors import PeerError
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.questions import (
    ALL,
    TRAINING,
    VALIDATION,
    Describe,
    HeldOutLikelihood,
    MarginalDerivatives,
    WorkingDerivatives,
)
from fedglmm_secure.rehearsal import rehearse_in_memory
from fedglmm_secure.securesum.messages import Advertisement, Contribution, Hello, KeyShares
from fedglmm_secure.securesum.protocols import PROTECTIONS as PROTOCOLS
from fedglmm_secure.study.guard import check_question
from fedglmm_secure.wire.codec import decode_site
from fedglmm_secure.wire.messages import Ready
from fedglmm_secure.wire.terms import max_sums
from fedglmm_site.questions import PROTECTIONS, possible_questions

PATH = {"penalty": [0.0, 1.0, 10.0], "selection": "aic"}
STUDIES = {
    "agh": {},
    "laplace": {"method": "laplace", "nodes": 1},
    "slopes": {"method": "laplace", "nodes": 1, "formula": "outcome ~ rx + (1 + age | site)"},
    "glm": {"method": "glm", "nodes": 1, "formula": "outcome ~ rx + age"},
    "pql": {"method": "pql", "nodes": 1, "formula": "outcome ~ rx + (1 | site)"},
    "path": PATH,
    "validation": PATH | {"selection": "validation"},
}


@pytest.fixture(params=STUDIES)
def asked(request, study, changed):
    return changed(
        study, disclosure__few_groups="allow", **{f"model__{key}": v for key, v in STUDIES[request.param].items()}
    )


def description_of(study, rows=600.0):
    cells = len(study.layout.levels)
    p = len(study.layout.columns)
    return (rows, 0.0, 60.0, *(rows / 2,) * cells, *(0.0,) * p, *(rows / 3,) * p)


def every_question(study):
    """One of each kind and part, fit for the study's columns and nodes."""
    p, q = len(study.layout.columns), Pattern(study.layout.blocks).size
    columns, description, theta = tuple(range(p)), description_of(study), (0.0,) * (p + q)
    yield Describe()
    for part in (ALL, TRAINING, VALIDATION):
        yield MarginalDerivatives(theta, study.model.nodes, columns, description, part)
    yield WorkingDerivatives((0.0,) * p + (1.0,) + (0.0,) * q, columns, description)
    penalties = study.model.penalty if isinstance(study.model.penalty, tuple) else (0.0,)
    yield HeldOutLikelihood((theta,) * len(penalties), study.model.nodes, columns, description)


def test_listed_is_what_the_guard_lets_through_and_nothing_else(asked):
    allowed = []
    for question in every_question(asked):
        number = 1 if isinstance(question, Describe) else 2
        try:
            check_question(asked, question, number, first=number == 1)
        except PeerError as error:
            assert "does not need" in str(error)  # noqa: PT017  any other refusal would be the test's fault
        else:
            allowed.append(
                (
                    question.kind,
                    getattr(question, "part", "all"),
                    ("number of contributors", *question.slots(asked.layout)),
                )
            )
    listed = possible_questions(asked, "1_UM")
    words = {"all complete rows": "all", "the training rows": "training", "the validation rows": "all"}
    assert [(entry.kind, words[entry.rows], entry.names) for entry in listed] == allowed


def test_sums_are_those_that_the_session_allows(asked):
    first, *later = possible_questions(asked, "1_UM")
    assert first.sums == "sum 1"
    assert {entry.sums for entry in later} == {f"sums 2 to {max_sums(asked)}"}


def test_no_contribution_of_a_real_fit_is_longer_than_listed_or_holds_other_numbers(study, data_of_all):
    rehearsal = rehearse_in_memory(study, data_of_all)
    listed = {entry.kind: entry for entry in possible_questions(study, "1_UM")}
    kinds = [row.question for row in rehearsal.result.trace]
    sent = [(data, decode_site(data)) for site, data in rehearsal.transcript if site == "1_UM"]
    contributions = [(data, message) for data, message in sent if isinstance(message, Contribution)]
    assert len(contributions) == len(kinds) > 4
    for kind, (data, message) in zip(kinds, contributions, strict=True):
        assert len(message.vector) == 16 * len(listed[kind].names)
        assert listed[kind].bytes - 2 <= len(data) <= listed[kind].bytes  # a small sum number takes less


@pytest.mark.parametrize(("protocol", "dropouts"), [("masking", 1), ("paillier", 0)])
def test_every_message_of_a_sum_is_counted(study, data_of_all, protocol, dropouts):
    """All that a site sends in a sum, the keys of a batch apart."""
    data = study.model_dump()
    data["security"] |= {"dropouts": dropouts}
    given = type(study).from_dict(data, "test")
    rehearsal = rehearse_in_memory(given, data_of_all, protocol=protocol)
    kinds = [row.question for row in rehearsal.result.trace]
    listed = {entry.kind: entry for entry in possible_questions(rehearsal.study, "1_UM")}
    sizes = dict.fromkeys(range(1, len(kinds) + 1), 0)
    for site, content in rehearsal.transcript:
        message = decode_site(content)
        if site == "1_UM" and not isinstance(message, Hello | Advertisement | KeyShares | Ready):
            sizes[message.number] += len(content)
    for number, size in sizes.items():
        assert listed[kinds[number - 1]].bytes - 6 <= size <= listed[kinds[number - 1]].bytes


def test_every_protocol_has_its_words():
    assert set(PROTECTIONS) == set(PROTOCOLS)


@pytest.fixture
def data_of_all():
    from pathlib import Path

    import pandas as pd

    table = pd.read_csv(Path(__file__).parents[2] / "data" / "indo_rct.csv")
    return {str(name): rows for name, rows in table.groupby("site")}
