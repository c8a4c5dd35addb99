"""``fedglmm rehearse`` and its neighbours, as a newcomer calls them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fedglmm_site.audit import verify_log

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "indomethacin"
STUDY = EXAMPLE / "study.toml"
FEDGLMM = Path(sys.executable).parent / "fedglmm"
SITES = [f"--site={table.stem}={table}" for table in sorted((EXAMPLE / "sites").glob("*.csv"))]


def fedglmm(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([FEDGLMM, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def rehearse(out: Path, *arguments: object) -> dict:
    ended = fedglmm("rehearse", STUDY, *SITES, "--out", out, *arguments)
    assert ended.returncode == 0, ended.stderr
    return json.loads((out / "result.json").read_text()) | {"stdout": ended.stdout, "stderr": ended.stderr}


@pytest.fixture(scope="module")
def over_grpc(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("rehearsal") / "grpc"
    return out, rehearse(out)


def test_four_hospitals_give_lme4s_answer(over_grpc: tuple[Path, dict]) -> None:
    out, result = over_grpc
    assert re.search(r"rx\[T\.1_indomethacin\] +-0\.76594 +0\.26105", result["stdout"])
    assert re.search(r"site +Intercept +0\.29400 +0\.54222", result["stdout"])
    assert "-217.62762" in result["stdout"]
    assert str(out / "result.json") in result["stdout"]
    assert "decrement" in result["stderr"]
    assert result["format"] == "fedglmm-result/1"
    assert result["security"]["protocol"] == "masking"
    assert result["security"]["bytes_sent_by_site"].keys() == {"1_UM", "2_IU", "3_UK", "4_Case"}
    assert len(result["trace"]) == result["security"]["sums"] == len(result["security"]["numbers_per_sum"])


def test_memory_plain_and_grpc_agree_to_1e_10(over_grpc: tuple[Path, dict], tmp_path: Path) -> None:
    _, grpc = over_grpc
    memory = rehearse(tmp_path / "memory", "--transport", "memory")
    plain = rehearse(tmp_path / "plain", "--transport", "memory", "--protocol", "plain")
    assert plain["security"]["protocol"] == "plain"
    for other in (memory, plain):
        assert other["log_likelihood"] == pytest.approx(grpc["log_likelihood"], rel=1e-10)
        for one, two in zip(grpc["fixed_effects"], other["fixed_effects"], strict=True):
            assert two["estimate"] == pytest.approx(one["estimate"], rel=1e-10)
            assert two["std_error"] == pytest.approx(one["std_error"], rel=1e-10)


def test_the_readme_shows_what_a_demo_prints(over_grpc: tuple[Path, dict]) -> None:
    text = (ROOT / "README.md").read_text()
    shown = text.partition("prints, among the rest,\n\n")[2].partition("\n\nwith log-likelihood")[0]
    printed = [line.strip() for line in over_grpc[1]["stdout"].splitlines()]
    lines = [line.strip() for line in shown.splitlines()]
    assert len(lines) > 5
    assert [line for line in lines if line not in printed] == []


@pytest.mark.parametrize("transport", ["grpc", "memory"])
def test_what_each_party_kept_is_in_the_folder(over_grpc: tuple[Path, dict], tmp_path: Path, transport: str) -> None:
    out, result = over_grpc
    if transport == "memory":
        out, result = tmp_path / "run", rehearse(tmp_path / "run", "--transport", "memory")
    assert "rehearsal_of" in (out / "study.toml").read_text()
    page = (out / "report.html").read_text()
    assert page == (out / "coordinator" / "report.html").read_text()
    assert "Rectal indomethacin" in page
    for name, rows in (("1_UM", 164), ("2_IU", 413), ("3_UK", 22), ("4_Case", 3)):
        report = json.loads((out / "sites" / name / "report.json").read_text())
        assert report["rows"] == rows
        assert report["groups"][0]["group"] == name
        journal = (out / "sites" / name / "journal.jsonl").read_text().splitlines()
        assert len(journal) - 1 == result["security"]["sums"] == report["sums_answered"]  # the session's offer first
        log = out / "sites" / name / "audit.log"
        lines, _ = verify_log(log, log.read_bytes())
        kinds = [line.kind for line in lines]
        assert kinds[:3] == ["begun", "joined", "hello"]
        assert kinds.count("contribution") == result["security"]["sums"]
        assert kinds[-1] == "left"
    transcript = (out / "coordinator" / "transcript.jsonl").read_text().splitlines()
    assert len(transcript) >= 4 * (1 + result["security"]["sums"])
    assert not list(out.rglob("*.key"))


def test_the_audit_logs_of_a_rehearsal_verify(over_grpc: tuple[Path, dict]) -> None:
    out, result = over_grpc
    for name in result["security"]["bytes_sent_by_site"]:
        file = out / "sites" / name / "audit.log"
        lines, _ = verify_log(file, file.read_bytes())
        sent = [int(line.fields["bytes"]) for line in lines if line.direction == "sent"]
        # the last one says that the result arrived
        assert sum(sent[:-1]) == result["security"]["bytes_sent_by_site"][name]


def test_nothing_of_a_site_is_found_in_the_transcript(over_grpc: tuple[Path, dict]) -> None:
    out, _ = over_grpc
    script = ROOT / "evaluation" / "security" / "search_transcript.py"
    ended = subprocess.run(
        [sys.executable, script, out, *SITES], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"numbers found +0 of \d{3,}", ended.stdout)
    assert re.search(r"differences found +0 of \d{3,}", ended.stdout)


def test_the_same_search_finds_everything_in_plain_sums() -> None:
    script = ROOT / "evaluation" / "security" / "search_transcript.py"
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout
    (found, of) = re.search(r"plain\n +\(1\) numbers found +(\d+) of (\d+)", ended.stdout).groups()
    assert found == of != "0"


def test_a_folder_of_an_earlier_rehearsal_is_used_again_and_no_other(tmp_path: Path) -> None:
    rehearse(tmp_path / "run", "--transport", "memory")
    rehearse(tmp_path / "run", "--transport", "memory")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    ended = fedglmm("rehearse", STUDY, *SITES, "--out", tmp_path / "mine", "--transport", "memory")
    assert (ended.returncode, (tmp_path / "mine" / "thesis.tex").read_text()) == (2, "precious")
    assert "is not empty and holds no earlier rehearsal" in ended.stderr


@pytest.mark.parametrize("transport", ["grpc", "memory"])
@pytest.mark.parametrize("content", ["", "x\n1\n"], ids=["no table", "other columns"])
def test_a_rehearsal_is_not_lost_to_a_table_that_cannot_be_read(tmp_path: Path, transport: str, content: str) -> None:
    out, table = tmp_path / "out", tmp_path / "bad.csv"
    rehearse(out, "--transport", "memory")
    table.write_text(content)
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    ended = fedglmm("rehearse", STUDY, *SITES[:-1], f"--site=4_Case={table}", "--out", out, "--transport", transport)
    assert (ended.returncode, "bad.csv: " in ended.stderr) == (2, True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == kept


def test_a_table_in_the_folder_that_is_emptied_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    rehearse(out, "--transport", "memory")
    table = out / "sites" / "mine.csv"
    table.write_text("x\n1\n")
    ended = fedglmm("rehearse", STUDY, *SITES[:-1], f"--site=4_Case={table}", "--out", out, "--transport", "memory")
    assert (ended.returncode, table.exists(), (out / "result.json").exists()) == (2, True, True)
    assert "mine.csv: lies in the --out folder" in ended.stderr


def test_a_site_with_a_bad_table_is_named_with_its_reason(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text((EXAMPLE / "sites" / "3_UK.csv").read_text().replace("1_female", "unknown"))
    sites = [site for site in SITES if "3_UK" not in site]
    for transport in ("memory", "grpc"):
        options = ("--out", tmp_path / transport, "--transport", transport)
        ended = fedglmm("rehearse", STUDY, *sites, f"--site=3_UK={bad}", *options)
        assert ended.returncode == 2, ended.stderr
        assert re.search(r"gender.*unknown", ended.stderr.splitlines()[-1])
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["rehearse", "none.toml", "--site", f"a={STUDY}", "--out", "x"], 2, "none.toml: cannot be read"),
        (["rehearse", STUDY, "--site", "a", "--out", "x"], 2, "write NAME=TABLE"),
        (["rehearse", STUDY, "--site", "a=none.csv", "--out", "x"], 2, "there is no file none.csv"),
        (["rehearse", STUDY, "--site", f"a={STUDY}", "--out", "x"], 2, "no table for 1_UM, 2_IU, 3_UK, 4_Case"),
        (["rehearse", STUDY, *SITES[:3], "--out", "x"], 2, "no table for 4_Case"),
        (["rehearse", STUDY, *SITES, SITES[0], "--out", "x"], 2, "given twice"),
        (["rehearse", STUDY, *SITES], 2, "--out"),
        (["rehearse", STUDY, *SITES, "--out", "x", "--transport", "pigeon"], 2, "pigeon"),
        (["study", "check", EXAMPLE / "README.md"], 2, "not valid TOML"),
        (["study", "check", EXAMPLE], 2, "cannot be read"),
        (["compare", EXAMPLE, EXAMPLE], 2, "cannot be read as a result"),
        (["compare", STUDY, STUDY], 2, "is not JSON"),
        (["report", EXAMPLE], 2, "holds neither a result.json nor"),
        (["report", "x"], 2, "holds neither a result.json nor"),
        (["unknown"], 2, "No such command"),
    ],
)
def test_wrong_input_ends_in_one_sentence_and_its_code(
    arguments: list, code: int, sentence: str, tmp_path: Path
) -> None:
    arguments = [tmp_path / "x" if argument == "x" else argument for argument in arguments]
    ended = fedglmm(*arguments)
    assert ended.returncode == code, ended.stderr
    assert sentence in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert ended.stderr.startswith("fedglmm: ")


def test_a_draft_without_sites_is_told_so(tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text(STUDY.read_text().partition("[[sites]]")[0])
    ended = fedglmm("rehearse", draft, *SITES, "--out", tmp_path / "x")
    assert (ended.returncode, (tmp_path / "x").exists()) == (2, False)
    assert "the study's sites: none yet, add them with `fedglmm study add-site`" in ended.stderr


def test_study_check_says_what_a_study_is() -> None:
    ended = fedglmm("study", "check", STUDY)
    assert ended.returncode == 0
    assert re.search(r"^digest +[0-9a-f]{64}$", ended.stdout, re.MULTILINE)
    assert "rx[T.1_indomethacin]" in ended.stdout


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    assert fedglmm("keys", "new", tmp_path / "keys").returncode == 0
    for name in ("signing.key", "encryption.key", "tls.key"):
        assert (tmp_path / "keys" / name).stat().st_mode & 0o777 == 0o600
    again = fedglmm("keys", "new", tmp_path / "keys")
    assert again.returncode == 2
    assert "keys are never replaced" in again.stderr


def test_a_page_is_made_again_from_the_folder(over_grpc: tuple[Path, dict]) -> None:
    out, _ = over_grpc
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    ended = fedglmm("report", out)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"report: {out / 'report.html'}\n", "")
    assert (out / "report.html").read_bytes() == page
    assert fedglmm("report", out / "sites" / "2_IU").returncode == 0
    assert "2_IU: its own report" in (out / "sites" / "2_IU" / "site-report.html").read_text()


def test_nested_rehearsals_are_compared(tmp_path: Path) -> None:
    rehearse(tmp_path / "large", "--transport", "memory")
    small = tmp_path / "small.toml"
    small.write_text(
        STUDY.read_text().replace(" + risk", "").replace('[variables.risk]\ntype = "numeric"\nrange = [0, 10]\n', "")
    )
    ended = fedglmm("rehearse", small, *SITES, "--out", tmp_path / "small", "--transport", "memory")
    assert ended.returncode == 0, ended.stderr
    compared = fedglmm("compare", tmp_path / "large", tmp_path / "small")
    assert compared.returncode == 0, compared.stderr
    assert re.search(r"^2 +6 .* 1 +0\.000\d+", compared.stdout, re.MULTILINE)
