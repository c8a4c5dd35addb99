"""Questions to protobuf and back.

A question crosses the wire as a typed message, so that a site can say in words what is asked; its digest is
taken of its canonical bytes, which both ends compute from the question, never from protobuf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fedglmm_secure.errors import PeerError
from fedglmm_secure.model.questions import Describe, MarginalDerivatives, Question
from fedglmm_secure.wire.limits import MAX_NODES
from fedglmm_secure.wire.v1 import exchange_pb2 as pb


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
                )
            )


def question_from_pb(message: pb.Question) -> Question:
    """The question of a protobuf message; PeerError when it is unknown or a number in it is not finite."""
    match message.WhichOneof("content"):
        case "describe":
            return Describe()
        case "marginal_derivatives":
            asked = message.marginal_derivatives
            if not 1 <= asked.nodes <= MAX_NODES:
                raise PeerError(f"the coordinator asks for {asked.nodes} quadrature nodes, outside 1..{MAX_NODES}")
            return MarginalDerivatives(
                _finite("theta", asked.theta),
                asked.nodes,
                tuple(asked.columns),
                _finite("description", asked.description),
            )
        case _:
            raise PeerError("the coordinator asks an unknown question; use the same version everywhere")


def _finite(name: str, values: Iterable[float]) -> tuple[float, ...]:
    numbers = tuple(values)
    if not all(map(math.isfinite, numbers)):
        raise PeerError(f"the coordinator's {name} holds a number that is not finite")
    return numbers
