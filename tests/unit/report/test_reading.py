"""result.json and report.json are read back whole, and anything else ends in one sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedglmm_secure.commands.report import report
from fedglmm_secure.errors import InputError
from fedglmm_secure.rehearsal.memory import Rehearsal
from fedglmm_secure.report import read_result, read_site_report


@pytest.fixture
def content(rehearsal: Callable[[str], Rehearsal]) -> dict:
    return json.loads(rehearsal("poisson-slope").result.to_json())


def test_every_result_is_read_back_whole(each: Rehearsal) -> None:
    assert read_result(each.result.to_json(), "result.json") == each.result


def test_every_sites_report_is_read_back_whole(each: Rehearsal) -> None:
    for own in each.reports.values():
        read = read_site_report(json.dumps(own), "report.json")
        assert {"format": own["format"], **json.loads(read.model_dump_json())} == json.loads(json.dumps(own))


def change(content: dict, path: tuple[str | int, ...], value: object) -> dict:
    """A copy with one entry replaced, or removed for ``...``."""
    changed = copy.deepcopy(content)
    place = changed
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("format",), "fedglmm-result/2", "has the format 'fedglmm-result/2', not 'fedglmm-result/1'"),
        (("format",), ..., "has the format None"),
        (("colour",), "red", "colour: is not a key that this version of fedglmm knows"),
        (("model", "penalti"), 1.0, r"model\.penalti: is not a key"),
        (("fixed_effects", 1, "odds"), 1.0, r"fixed_effects\[2\]\.odds: is not a key"),
        (("x\x1b[31m" * 30,), 1.0, "is not a key"),
        (("fixed_effects",), ..., "fixed_effects: field required"),
        (("fixed_effects", 0, "estimate"), "0.5", r"fixed_effects\[1\]\.estimate: input should be a valid number"),
        (("fixed_effects", 0, "estimate"), None, r"fixed_effects\[1\]\.estimate: input should be a valid number"),
        (("n_rows",), 1.5, "n_rows: input should be a valid integer"),
        (("warnings",), "none", "warnings: input should be a valid"),
        (("random_effects", 0, "std_dev"), [0.5], "random_effects: its lists"),
        (("random_effects", 0, "correlation"), [[1.0, 0.0], [0.0]], "random_effects: its lists"),
    ],
)
def test_a_wrong_key_or_value_is_named(content: dict, path: tuple, value: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        read_result(json.dumps(change(content, path, value)), "run1/result.json")
    assert str(refused.value).startswith("run1/result.json: ")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "[]", "null", "3", '"fedglmm-result/1"', "\ufeff{}", "9" * 10_000]
)
def test_what_is_no_result_is_refused(text: str) -> None:
    for read in (read_result, read_site_report):
        with pytest.raises(InputError, match=r"is not JSON, or was cut off|has the format"):
            read(text, "result.json")


def test_a_result_cut_off_anywhere_is_refused(content: dict) -> None:
    text = json.dumps(content)
    for end in range(0, len(text), 97):
        with pytest.raises(InputError, match="is not JSON, or was cut off"):
            read_result(text[:end], "result.json")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("format",), "fedglmm-result/1", "has the format"),
        (("extra",), 1, "extra: is not a key"),
        (("rows",), -1, "rows: input should be greater than or equal to 0"),
        (("groups", 0, "mode"), {"Intercept": 1.0}, "not all have the same terms"),
        (("groups", 0, "std_dev"), {}, "not all have the same terms"),
    ],
)
def test_a_wrong_site_report_is_named(
    rehearsal: Callable[[str], Rehearsal], path: tuple, value: object, sentence: str
) -> None:
    own = change(json.loads(json.dumps(rehearsal("poisson-slope").reports["hospital-0"])), path, value)
    with pytest.raises(InputError, match=sentence):
        read_site_report(json.dumps(own), "report.json")


def test_control_characters_become_signs_that_a_page_can_hold(content: dict) -> None:
    fit = read_result(json.dumps(change(content, ("study", "title"), "a\x00b\u202ec\td\ud800")), "result.json")
    assert fit.study.title == "a\N{REPLACEMENT CHARACTER}bc d\N{REPLACEMENT CHARACTER}"


def test_a_folder_gets_the_pages_of_what_it_holds(
    rehearsal: Callable[[str], Rehearsal], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = rehearsal("logistic")
    (tmp_path / "result.json").write_text(run.result.to_json())
    report(tmp_path)
    assert "Rectal indomethacin" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "site-report.html").exists()
    (tmp_path / "report.json").write_text(json.dumps(run.reports["3_UK"]))
    report(tmp_path)
    assert "3_UK: its own report" in (tmp_path / "site-report.html").read_text()
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {tmp_path / 'site-report.html'}"


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="holds neither"):
            report(folder)
    (tmp_path / "result.json").mkdir()
    with pytest.raises(InputError, match="cannot be read as a result"):
        report(tmp_path)
    (tmp_path / "result.json").rmdir()
    (tmp_path / "result.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="is not UTF-8"):
        report(tmp_path)
