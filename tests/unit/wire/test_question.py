"""Questions survive the wire; what no study needs is refused before it is built."""

from __future__ import annotations

import math

import pytest

from fedglmm_secure import canonical
from fedglmm_secure.errors import InputError, PeerError
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Describe, HeldOutLikelihood, MarginalDerivatives, WorkingDerivatives
from fedglmm_secure.wire import status
from fedglmm_secure.wire.limits import MAX_ENTRIES, MAX_NODES
from fedglmm_secure.wire.question import question_from_pb, question_to_pb
from fedglmm_secure.wire.v1 import exchange_pb2 as pb

ASKED = (
    Describe(),
    MarginalDerivatives((0.1, -math.pi, 0.5), 9, (0, 2), (602.0, 0.0)),
    MarginalDerivatives((0.1, -0.0, 0.5), 1, (0, 1), (602.0,), "training"),
    HeldOutLikelihood(((0.1, 0.5), (0.2, 0.6)), 1, (0,), (602.0,)),
    WorkingDerivatives((0.1, 1.0, 0.5), (0,), (602.0,)),
)


@pytest.mark.parametrize("question", ASKED, ids=lambda question: question.kind)
def test_a_question_survives_with_its_canonical_bytes(question: questions.Question) -> None:
    received = question_from_pb(pb.Question.FromString(question_to_pb(question).SerializeToString()))
    assert received == question
    assert questions.encode(received) == questions.encode(question)


def test_different_questions_have_different_canonical_bytes() -> None:
    assert len({questions.encode(question) for question in ASKED}) == len(ASKED)


@pytest.mark.parametrize(
    "message",
    [
        pb.Question(),
        pb.Question(marginal_derivatives=pb.MarginalDerivatives(theta=[0.1], nodes=0, part=pb.PART_ALL)),
        pb.Question(marginal_derivatives=pb.MarginalDerivatives(theta=[0.1], nodes=MAX_NODES + 1, part=pb.PART_ALL)),
        pb.Question(marginal_derivatives=pb.MarginalDerivatives(theta=[0.1], nodes=1)),
        pb.Question(marginal_derivatives=pb.MarginalDerivatives(theta=[math.nan], nodes=1, part=pb.PART_ALL)),
        pb.Question(working_derivatives=pb.WorkingDerivatives(theta=[0.1], description=[math.inf])),
        pb.Question(working_derivatives=pb.WorkingDerivatives(columns=range(MAX_ENTRIES + 1))),
        pb.Question(held_out_likelihood=pb.HeldOutLikelihood(thetas=[pb.Theta()] * (MAX_ENTRIES + 1), nodes=1)),
    ],
)
def test_what_no_coordinator_of_this_version_asks_is_refused(message: pb.Question) -> None:
    with pytest.raises(PeerError):
        question_from_pb(message)


def test_a_peers_sentence_is_one_line_without_control_characters() -> None:
    forged = "no\x1b]0;owned\x07\x1b[2J\nfedglmm-coordinator: study finished\u202e"
    for error in (status.from_category(3, forged), status.from_status("UNAVAILABLE", forged)):
        assert str(error).isprintable()
        assert str(error) == "no ]0;owned [2J fedglmm-coordinator: study finished"


@pytest.mark.parametrize("question", ASKED, ids=lambda question: question.kind)
def test_a_question_is_read_back_from_its_canonical_bytes(question: questions.Question) -> None:
    assert questions.decode(questions.encode(question)) == question


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"what is the sum?",
        questions.encode(Describe())[:-1],
        questions.encode(Describe()) * 2,
        canonical.encode("describe"),
        canonical.encode(["describe", 1]),
        canonical.encode(["divulge"]),
        canonical.encode(["working derivatives", [0.1]]),
        canonical.encode(["marginal derivatives", [0.1], 10, [0], [1.0], "all"]).replace(b"10", b"+1"),
    ],
)
def test_what_is_no_canonical_question_is_refused(content: bytes) -> None:
    """A journal that somebody changed: nothing is made of it."""
    with pytest.raises(InputError, match="a question in the journal is none of this version"):
        questions.decode(content)
