"""The table from errors to statuses reads the same in both directions."""

from __future__ import annotations

import grpc
import pytest

from fedglmm_secure.errors import FedglmmError, FitError, LinkError, PeerError, QuantityError, TableError
from fedglmm_secure.wire import status


@pytest.mark.parametrize("row", status.TABLE, ids=lambda row: row.error.__name__)
def test_there_and_back(row):
    error = row.error("a sentence")
    assert type(status.from_status(status.status_of(error), "a sentence")) is row.error
    assert type(status.from_category(status.category_of(error), "a sentence")) is row.error
    assert row.status in grpc.StatusCode.__members__
    assert row.category == row.error.exit_code


def test_subclasses_travel_as_their_kind():
    assert status.status_of(QuantityError("x")) == status.status_of(FitError("x"))
    assert status.status_of(TableError("x")) == "INVALID_ARGUMENT"
    assert status.status_of(FedglmmError("x")) == "INTERNAL"


@pytest.mark.parametrize("name", ["DEADLINE_EXCEEDED", "CANCELLED", "UNAVAILABLE"])
def test_a_broken_connection_is_a_link_error(name):
    assert type(status.from_status(name, "x")) is LinkError


@pytest.mark.parametrize("name", ["UNKNOWN", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED", "no such status"])
def test_what_no_coordinator_answers_is_a_breach(name):
    assert type(status.from_status(name, "x")) is PeerError
