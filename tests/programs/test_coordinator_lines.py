"""The coordinator's transcript and log: whole lines, whatever the disk takes of one."""

from __future__ import annotations

import pytest

from fedglmm_coordinator.lines import Lines


def test_a_line_that_finds_no_room_is_not_in_the_next_one(tmp_path, full_disk):
    file = tmp_path / "log.jsonl"
    with Lines(file) as lines:
        lines.append("one\n")
        with full_disk(8), pytest.raises(OSError, match=r"log\.jsonl"):
            lines.append("two, of which four bytes fit\n")
        lines.append("three\n")
    assert file.read_text() == "one\nthree\n"


def test_a_line_that_a_crash_cut_off_is_removed(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text("one\ntw")
    with Lines(file) as lines:
        lines.append("three\n")
    assert file.read_text() == "one\nthree\n"
