"""Questions to protobuf and back.

A question crosses the wire as a typed message, so that a site can say in words what is asked; its digest is
taken of its canonical bytes, which both ends compute from the question, never from protobuf.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from fedglmm_secure.errors import PeerError
from fedglmm_secure.model.questions import (
    ALL,
    TRAINING,
    Describe,
    HeldOutLikelihood,
    MarginalDerivatives,
    Question,
    WorkingDerivatives,
)
from fedglmm_secure.securesum.messages import MAX_QUESTION_BYTES
from fedglmm_secure.wire.limits import MAX_ENTRIES, MAX_NODES
from fedglmm_secure.wire.v1 import exchange_pb2 as pb

T = TypeVar("T")

_PARTS = {ALL: pb.PART_ALL, TRAINING: pb.PART_TRAINING}


def question_to_pb(question: Question) -> pb.Question:
    """The protobuf message of a question."""
    match question:
        case Describe():
            return pb.Question(describe=pb.Describe())
        case MarginalDerivatives():
            return pb.Question(
                marginal_derivatives=pb.MarginalDerivatives(
                    theta=question.theta,
                    nodes=question.nodes,
                    columns=question.columns,
                    description=question.description,
                    part=_PARTS[question.part],
                )
            )
        case HeldOutLikelihood():
            return pb.Question(
                held_out_likelihood=pb.HeldOutLikelihood(
                    thetas=[pb.Theta(entries=theta) for theta in question.thetas],
                    nodes=question.nodes,
                    columns=question.columns,
                    description=question.description,
                )
            )
        case WorkingDerivatives():
            return pb.Question(
                working_derivatives=pb.WorkingDerivatives(
                    theta=question.theta, columns=question.columns, description=question.description
                )
            )


def question_from_pb(message: pb.Question) -> Question:
    """The question of a protobuf message; PeerError when it is unknown, too large, or a number is not finite."""
    if 2 * message.ByteSize() > MAX_QUESTION_BYTES:  # its canonical bytes are at least twice as many
        raise PeerError(f"the coordinator's question is larger than {MAX_QUESTION_BYTES} bytes")
    match message.WhichOneof("content"):
        case "describe":
            return Describe()
        case "marginal_derivatives":
            return _marginal_derivatives(message.marginal_derivatives)
        case "held_out_likelihood":
            asked = message.held_out_likelihood
            return HeldOutLikelihood(
                tuple(_finite("theta", theta.entries) for theta in _capped("thetas", asked.thetas)),
                _nodes(asked.nodes),
                tuple(_capped("columns", asked.columns)),
                _finite("description", asked.description),
            )
        case "working_derivatives":
            working = message.working_derivatives
            return WorkingDerivatives(
                _finite("theta", working.theta),
                tuple(_capped("columns", working.columns)),
                _finite("description", working.description),
            )
        case _:
            raise PeerError("the coordinator asks an unknown question; use the same version everywhere")


def _marginal_derivatives(asked: pb.MarginalDerivatives) -> MarginalDerivatives:
    part = next((part for part, number in _PARTS.items() if number == asked.part), None)
    if part is None:
        raise PeerError("the coordinator asks about an unknown part of the rows; use the same version everywhere")
    return MarginalDerivatives(
        _finite("theta", asked.theta),
        _nodes(asked.nodes),
        tuple(_capped("columns", asked.columns)),
        _finite("description", asked.description),
        part,
    )


def _nodes(nodes: int) -> int:
    if not 1 <= nodes <= MAX_NODES:
        raise PeerError(f"the coordinator asks for {nodes} quadrature nodes, outside 1..{MAX_NODES}")
    return nodes


def _capped(name: str, values: Sequence[T]) -> Sequence[T]:
    if len(values) > MAX_ENTRIES:
        raise PeerError(f"the coordinator's {name} has {len(values)} entries, more than any study needs")
    return values


def _finite(name: str, values: Sequence[float]) -> tuple[float, ...]:
    numbers = tuple(_capped(name, values))
    if not all(map(math.isfinite, numbers)):
        raise PeerError(f"the coordinator's {name} holds a number that is not finite")
    return numbers
