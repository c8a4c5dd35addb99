"""What the coordinator takes of the machine: files for the connections of all sites."""

from __future__ import annotations

import resource

import pytest

from fedglmm_coordinator import limits
from fedglmm_secure.errors import InputError


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files a process may have open, now and at most."""
    allowed = [64, 256]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(allowed))
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: allowed.__setitem__(slice(2), given))
    return allowed


def test_it_takes_all_files_that_it_may(files: list[int]) -> None:
    limits.take_all_files(192)
    assert files == [256, 256]
    assert limits.most_connections() == 192


def test_sites_without_room_are_named_before_the_fit(files: list[int]) -> None:
    with pytest.raises(InputError, match=r"256 files open, too few for the connections of 193 sites; allow it 257"):
        limits.take_all_files(193)
