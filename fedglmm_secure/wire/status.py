"""Errors across the wire: one table from error class to gRPC status name and category, read in both
directions.

The names are strings, so that the library does not need gRPC; the sentence travels as the status's detail.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedglmm_secure.errors import FedglmmError, FitError, InputError, LinkError, PeerError, RefusalError
from fedglmm_secure.wire.limits import MAX_SENTENCE_BYTES
from fedglmm_secure.wire.v1 import exchange_pb2 as pb


@dataclass(frozen=True)
class Row:
    """One kind of error, in the tree, as a gRPC status, and as a category of Stopped and Refusal."""

    error: type[FedglmmError]
    status: str
    category: pb.Category


TABLE = (
    Row(InputError, "INVALID_ARGUMENT", pb.CATEGORY_INPUT),
    Row(RefusalError, "PERMISSION_DENIED", pb.CATEGORY_REFUSED),
    Row(FitError, "ABORTED", pb.CATEGORY_FIT),
    Row(LinkError, "UNAVAILABLE", pb.CATEGORY_LINK),
    Row(PeerError, "FAILED_PRECONDITION", pb.CATEGORY_PROTOCOL),
    Row(FedglmmError, "INTERNAL", pb.CATEGORY_INTERNAL),
)
"""Most specific first: an error is the first row whose class it is."""

_BY_TRANSPORT = {"DEADLINE_EXCEEDED": LinkError, "CANCELLED": LinkError, "RESOURCE_EXHAUSTED": PeerError}
"""Statuses that gRPC makes itself."""


def status_of(error: FedglmmError) -> str:
    """The name of the gRPC status that carries ``error``."""
    return _row(error).status


def category_of(error: FedglmmError) -> pb.Category:
    """The category that carries ``error`` in Stopped and Refusal."""
    return _row(error).category


def from_status(status: str, sentence: str) -> FedglmmError:
    """The error that a gRPC status name stands for; an unknown status is a violation of the protocol."""
    classes = {row.status: row.error for row in TABLE} | _BY_TRANSPORT
    return classes.get(status, PeerError)(printable(sentence))


def from_category(category: int, sentence: str) -> FedglmmError:
    """The error that a category stands for; PeerError for a category that does not exist."""
    for row in TABLE:
        if row.category == category:
            return row.error(printable(sentence))
    return PeerError(f"the peer stopped with an unknown category {category}; use the same version everywhere")


def printable(sentence: str) -> str:
    """A peer's sentence as one line without control characters: it is shown on a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in sentence).split())


def clip_sentence(sentence: str) -> str:
    """``sentence``, cut to what a message may carry."""
    return sentence.encode()[:MAX_SENTENCE_BYTES].decode(errors="ignore")


def _row(error: FedglmmError) -> Row:
    return next(row for row in TABLE if isinstance(error, row.error))
