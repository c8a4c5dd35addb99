"""What a site refuses to answer, whatever the coordinator says."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure.errors import FitError, OwnRowsError, PeerError, RefusalError
from fedglmm_secure.model.answers import Footing, answer, footing
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import (
    Describe,
    HeldOutLikelihood,
    MarginalDerivatives,
    Question,
    WorkingDerivatives,
)
from fedglmm_secure.ring import encode
from fedglmm_secure.study import Study
from fedglmm_secure.study.guard import check_footing, check_question

STUDY = Study.from_dict(
    {
        "study": {"id": "guard"},
        "model": {"formula": "y ~ x + sex + (1 | site)", "family": "binomial", "method": "agh", "nodes": 5},
        "variables": {
            "y": {"type": "binary", "levels": [0, 1]},
            "x": {"type": "numeric", "range": [0, 1]},
            "sex": {"type": "categorical", "levels": ["f", "m"]},
        },
        "sites": [{"name": name} for name in "abc"],
    },
    "guard.toml",
)


def describe(rows: float, counts: list[float]) -> tuple[float, ...]:
    p = len(STUDY.layout.columns)
    return tuple(Description(rows, 0.0, 3.0, np.array(counts), np.zeros(p), np.full(p, rows)).vector().tolist())


GOOD = MarginalDerivatives((0.0, 0.1, 0.2, 0.5), 5, (0, 1, 2), describe(100, [60, 40, 50, 50]))


def test_what_the_study_asks_for_is_answered() -> None:
    check_question(STUDY, Describe(), 1, first=True)
    check_question(STUDY, GOOD, 2, first=False)
    check_question(STUDY, replace(GOOD, theta=(0.0, 0.1, 0.5), columns=(0, 2)), 3, first=False)


@pytest.mark.parametrize(("question", "number"), [(Describe(), 2), (GOOD, 1)])
def test_only_the_first_sum_describes(question: Describe | MarginalDerivatives, number: int) -> None:
    with pytest.raises(PeerError, match="only the first sum describes"):
        check_question(STUDY, question, number, first=number == 1)


def test_the_first_question_to_a_smaller_cohort_describes_again() -> None:
    """After an exclusion no site answers at a theta where it has answered over more sites."""
    check_question(STUDY, Describe(), 7, first=True)
    with pytest.raises(PeerError, match="only the first sum describes"):
        check_question(STUDY, GOOD, 7, first=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"nodes": 9}, "asks for 9 quadrature nodes where the study says 5"),
        ({"columns": (0, 2, 1)}, "columns that the study does not have"),
        ({"columns": (0, 1, 1)}, "columns that the study does not have"),
        ({"columns": (0, 1, 3)}, "columns that the study does not have"),
        ({"columns": (-1, 0, 1)}, "columns that the study does not have"),
        ({"columns": (), "theta": (0.5,)}, "columns that the study does not have"),
        ({"theta": (0.0, 0.1, 0.5)}, "sends 3 parameters for a model of 4"),
        ({"theta": (0.0, 2e6, 0.2, 0.5)}, r"above 1e\+06 standardised units"),
        ({"theta": (0.0, float("nan"), 0.2, 0.5)}, r"above 1e\+06 standardised units"),
        ({"description": GOOD.description[:-1]}, "a description of this study has"),
    ],
)
def test_a_question_that_is_not_the_studys_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(PeerError, match=sentence):
        check_question(STUDY, replace(GOOD, **change), 2, first=False)


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        (describe(100, [98, 2, 50, 50]), "y = 1 occurs in fewer than minimum_cell = 3 rows"),
        (describe(100, [60, 40, 99, 1]), "sex = m occurs in fewer than minimum_cell = 3 rows"),
        (describe(12, [6, 6, 6, 6]), "4 parameters for 12 pooled rows, more than maximum_parameters_per_row = 0.33"),
        (describe(0, [0, 0, 0, 0]), "no complete row"),
    ],
)
def test_pooled_disclosure_limits_are_checked_before_any_derivative(description: tuple, sentence: str) -> None:
    with pytest.raises(RefusalError, match=sentence):
        check_question(STUDY, replace(GOOD, description=description), 2, first=False)


def test_correlated_terms_have_a_parameter_for_each_entry_of_their_factor() -> None:
    data = STUDY.model_dump()
    data["model"] |= {"formula": "y ~ x + sex + (1 + x | site) + (0 + sex | site)", "method": "laplace", "nodes": 1}
    study = Study.from_dict(data, "guard.toml")
    question = replace(GOOD, nodes=1, theta=(0.1,) * 9)
    check_question(study, question, 2, first=False)
    with pytest.raises(PeerError, match="sends 8 parameters for a model of 9"):
        check_question(study, replace(question, theta=(0.1,) * 8), 2, first=False)


def variant(few_groups: str = "refuse", **model: object) -> Study:
    data = STUDY.model_dump()
    data["model"] |= {"nodes": None} | model
    data["disclosure"]["few_groups"] = few_groups
    return Study.from_dict(data, "guard.toml")


DIVIDED = variant(method="laplace", penalty=[0, 1], selection="validation")
PQL = variant("allow", method="pql")
MARGINAL = replace(GOOD, nodes=1)
HELD_OUT = HeldOutLikelihood((GOOD.theta, GOOD.theta), 1, GOOD.columns, GOOD.description)
WORKING = WorkingDerivatives((0.0, 0.1, 0.2, 1.0, 0.5), GOOD.columns, GOOD.description)


@pytest.mark.parametrize(
    ("study", "question"),
    [
        (DIVIDED, MARGINAL),
        (DIVIDED, replace(MARGINAL, part="training")),
        (DIVIDED, HELD_OUT),
        (DIVIDED, replace(HELD_OUT, thetas=HELD_OUT.thetas[:1])),
        (PQL, WORKING),
    ],
)
def test_what_the_method_needs_is_answered(study: Study, question: Question) -> None:
    check_question(study, question, 2, first=False)


@pytest.mark.parametrize(
    ("study", "question"),
    [
        (STUDY, replace(GOOD, part="training")),
        (DIVIDED, replace(MARGINAL, part="validation")),
        (DIVIDED, replace(MARGINAL, part="some")),
        (STUDY, replace(HELD_OUT, nodes=5)),
        (DIVIDED, replace(HELD_OUT, thetas=(GOOD.theta,) * 3)),
        (DIVIDED, replace(HELD_OUT, thetas=())),
        (STUDY, WORKING),
        (DIVIDED, WORKING),
        (PQL, MARGINAL),
        (PQL, HELD_OUT),
        (STUDY, SimpleNamespace(**vars(GOOD), kind="every row")),
    ],
)
def test_what_the_method_does_not_need_is_refused(study: Study, question: Question) -> None:
    with pytest.raises(PeerError, match=r"which this study of method = .* does not need"):
        check_question(study, question, 2, first=False)


@pytest.mark.parametrize(
    ("study", "question", "sentence"),
    [
        (DIVIDED, replace(HELD_OUT, nodes=2), "asks for 2 quadrature nodes"),
        (DIVIDED, replace(HELD_OUT, columns=(0, 2, 1)), "columns that the study does not have"),
        (DIVIDED, replace(HELD_OUT, thetas=(GOOD.theta, (0.0, 0.1, 2e6, 0.5))), r"above 1e\+06 standardised units"),
        (DIVIDED, replace(HELD_OUT, thetas=(GOOD.theta, (0.0, 0.1, 0.5))), "sends 3 parameters for a model of 4"),
        (PQL, replace(WORKING, theta=GOOD.theta), "sends 4 parameters for a model of 5"),
        (PQL, replace(WORKING, theta=(0.0, 0.1, 0.2, 1e-7, 0.5)), r"above 1e\+06 standardised units"),
        (PQL, replace(WORKING, theta=(0.0, 0.1, 0.2, -1.0, 0.5)), r"above 1e\+06 standardised units"),
        (PQL, replace(WORKING, theta=(0.0, 0.0, 0.0, 0.0, 0.5)), r"above 1e\+06 standardised units"),
        (PQL, replace(WORKING, theta=(0.0, 0.1, 0.2, 1.0, 2e6)), r"above 1e\+06 standardised units"),
    ],
)
def test_parameters_are_bounded_in_every_question(study: Study, question: Question, sentence: str) -> None:
    with pytest.raises(PeerError, match=sentence):
        check_question(study, question, 2, first=False)


def test_rows_are_counted_by_the_smallest_part() -> None:
    """16 rows are enough for four parameters; the 30 % that validate are not, and theirs follow by subtraction."""
    few, enough = describe(16, [8, 8, 8, 8]), describe(60, [30, 30, 30, 30])
    check_question(STUDY, replace(GOOD, description=few), 2, first=False)
    for part in ("all", "training"):
        check_question(DIVIDED, replace(MARGINAL, description=enough, part=part), 2, first=False)
        with pytest.raises(RefusalError, match="4 parameters for 5 pooled rows"):
            check_question(DIVIDED, replace(MARGINAL, description=few, part=part), 2, first=False)
    with pytest.raises(RefusalError, match=r"2 penalties for 5 pooled rows, .* use fewer penalties, or a larger"):
        check_question(DIVIDED, replace(HELD_OUT, description=few), 2, first=False)


def test_an_empty_cell_discloses_nobody() -> None:
    check_question(STUDY, replace(GOOD, description=describe(100, [60, 40, 100, 0])), 2, first=False)


@pytest.mark.parametrize(("groups", "refused"), [(3.0, True), (7.0, True), (8.0, False)])
def test_few_groups_of_a_linear_mixed_model_would_be_told_apart(groups: float, refused: bool) -> None:
    """Three columns and psi: the pooled sums of seven groups or fewer determine each group's averages."""
    data = STUDY.model_dump()
    data["model"] |= {"family": "gaussian", "method": "laplace", "nodes": 1}
    data["model"]["formula"] = "y ~ x + sex + (1 | g)"
    data["variables"] |= {"y": {"type": "numeric", "range": [0, 10]}, "g": {"type": "group"}}
    gaussian = Study.from_dict(data, "gaussian.toml")
    p = len(gaussian.layout.columns)
    description = Description(
        100.0, 0.0, groups, np.full(len(gaussian.layout.levels), 50.0), np.zeros(p), np.full(p, 100.0)
    )
    question = MarginalDerivatives((0.1,) * (p + 1), 1, tuple(range(p)), tuple(description.vector().tolist()))
    if refused:
        with pytest.raises(RefusalError, match="few beside 4 columns"):
            check_question(gaussian, question, 2, first=False)
        data["disclosure"]["few_groups"] = "allow"
        check_question(Study.from_dict(data, "gaussian.toml"), question, 2, first=False)
    else:
        check_question(gaussian, question, 2, first=False)


def test_sites_that_may_be_left_out_of_a_sum_are_no_groups_to_count_on() -> None:
    """A site can be lost after the question was let through: then the sum is over one group less."""
    data = STUDY.model_dump()
    data["model"] |= {"family": "gaussian", "method": "laplace", "nodes": 1}
    data["variables"]["y"] = {"type": "numeric", "range": [0, 10]}
    data["sites"] = [{"name": f"s{i}"} for i in range(8)]
    check_question(Study.from_dict(data, "gaussian.toml"), Describe(), 1, first=True)
    data["security"] |= {"dropouts": 1, "on_dropout": "wait"}
    check_question(Study.from_dict(data, "gaussian.toml"), Describe(), 1, first=True)
    data["security"]["on_dropout"] = "exclude"
    with pytest.raises(RefusalError, match="7 groups are few beside 4 columns"):
        check_question(Study.from_dict(data, "gaussian.toml"), Describe(), 1, first=True)


def test_where_sites_are_the_groups_the_roster_counts_them_before_the_first_answer() -> None:
    """The coordinator's description has no say in it."""
    data = STUDY.model_dump()
    data["model"] |= {"family": "gaussian", "method": "laplace", "nodes": 1}
    data["variables"]["y"] = {"type": "numeric", "range": [0, 10]}
    with pytest.raises(RefusalError, match="3 groups are few beside 4 columns"):
        check_question(Study.from_dict(data, "gaussian.toml"), Describe(), 1, first=True)


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        (Footing(rows=2.9, rows_at_zero=40.0, weight=1.0, far=0.0), "few rows"),
        (Footing(rows=40.0, rows_at_zero=40.0, weight=0.9e-5, far=0.0), "vanished weight"),
        (Footing(rows=40.0, rows_at_zero=40.0, weight=1.0, far=0.051), "decided rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_sign_of_too_few_rows_is_enough(at: Footing, sentence: str) -> None:
    with pytest.raises(OwnRowsError, match="rest on too few of this site's rows"):
        check_footing(STUDY, at)


def test_what_is_just_enough_is_answered() -> None:
    check_footing(STUDY, Footing(rows=3.0, rows_at_zero=40.0, weight=1e-5, far=0.05))
    check_footing(STUDY, Footing(rows=0.75, rows_at_zero=3.0, weight=1.0, far=0.0))  # a site of three rows


@pytest.mark.parametrize("name", ["rows", "weight", "far"])
def test_what_cannot_be_told_is_refused(name: str) -> None:
    """Weights that overflow give NaN: that is no reason to answer."""
    good = Footing(rows=40.0, rows_at_zero=40.0, weight=1.0, far=0.0)
    check_footing(STUDY, good)
    with pytest.raises(RefusalError):
        check_footing(STUDY, replace(good, **{name: float("nan")}))


ABSURD = [0.0, 1e-300, 1.0, -40.0, 1e3, -1e6, 1e6]


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize(("method", "random"), [("laplace", "1"), ("laplace", "1 + x"), ("agh", "1"), ("pql", "1 + x")])
def test_absurd_parameters_end_in_a_sentence_and_warn_of_nothing(family: str, method: str, random: str) -> None:
    """Within the bound of ``check_question`` a site answers with finite numbers or says why not."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"y": rng.integers(0, 2, 60), "x": rng.random(60), "g": np.arange(60) % 6})
    outcome = {"type": "binary", "levels": [0, 1]} if family == "binomial" else {"type": "count", "range": [0, 9]}
    study = Study.from_dict(
        {
            "study": {"id": "absurd"},
            "model": {"formula": f"y ~ x + ({random} | g)", "family": family, "method": method},
            "variables": {"y": outcome, "x": {"type": "numeric", "range": [0, 1]}, "g": {"type": "group"}},
        },
        "absurd",
    )
    design = study.design(frame, "a", "a.csv")
    description = tuple(answer(Describe(), study.layout, design)[: len(Description.slots(study.layout))].tolist())
    sentences = set()
    for values in product(ABSURD, repeat=3):
        tail = values[-1:] * (2 if random != "1" else 0)
        theta = (*values[:2], abs(values[0]) or 1.0, values[2], *tail) if method == "pql" else (*values, *tail)
        question: Question = (
            WorkingDerivatives(theta, (0, 1), description)
            if method == "pql"
            else MarginalDerivatives(theta, study.model.nodes, (0, 1), description)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                at = footing(question, study.layout, design)
                check_footing(study, at)
                encode(answer(question, study.layout, design), question.slots(study.layout))
            except (OwnRowsError, FitError) as error:
                sentences.add(str(error)[:60])
    assert sentences
