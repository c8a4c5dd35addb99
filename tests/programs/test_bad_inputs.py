"""Bad inputs at every command of the three programs: one sentence, the right exit code, no traceback, nothing sent."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

import fedglmm_coordinator.main
import fedglmm_site.main
from fedglmm_secure import shell
from fedglmm_secure.commands import main as fedglmm
from fedglmm_secure.study import Study
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.approval import approval_path, approve

STUDY = """
[study]
id = "bad"
[model]
formula = "y ~ sex + age + (1 | site)"
family = "binomial"
[variables.y]
type = "binary"
levels = [0, 1]
[variables.sex]
type = "categorical"
levels = ["f", "m"]
[variables.age]
type = "numeric"
range = [0, 120]
"""
ROWS = [f"{i % 2},{'fm'[i // 2 % 2]},{20 + i}" for i in range(40)]
TABLE = "y,sex,age\n" + "\n".join(ROWS) + "\n"
APPS = {
    "fedglmm": fedglmm.app,
    "fedglmm-coordinator": fedglmm_coordinator.main.app,
    "fedglmm-site": fedglmm_site.main.app,
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good study, good keys and good tables, in which programs are run."""
    names = ("a", "b", "c", "coordinator")
    owners = {name: identity.generate() for name in names}
    study = Study.parse(STUDY, "study.toml").replaced(
        identities={name: (owners[name].public_key, owners[name].certificate) for name in names[:3]},
        coordinator_certificate=owners["coordinator"].certificate,
    )
    path = tmp_path / "study.toml"
    path.write_text(study.to_toml())
    for name in names[:3]:
        approved = approve(study, name, owners[name].signing, datetime.now(UTC))
        approval_path(path, name).write_text(approved.to_toml())
    for name, own in owners.items():
        shell.write_identity(tmp_path / "keys" / name, own)
    for name in names[:3]:
        (tmp_path / f"{name}.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


Run = Callable[[str], tuple[int, str]]


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process: its exit code and what it said on stderr."""
    monkeypatch.setattr("os.umask", lambda mask: 0)

    def play(line: str) -> tuple[int, str]:
        program, *arguments = line.replace("~ ", "~").split()
        monkeypatch.setattr("sys.argv", [program, *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            shell.run(APPS[program], program)
        return int(ended.value.code or 0), capsys.readouterr().err.strip()

    return play


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def one_sentence(said: str, program: str) -> None:
    assert said.startswith(f"{program}: "), said
    assert len(said.splitlines()) == 1, said
    assert "Traceback" not in said


DRAFT = "fedglmm study draft {} --formula y~sex+age+(1|site)"
REHEARSE = "fedglmm rehearse study.toml --site a={} --site b=b.csv --site c=c.csv --out run --transport memory --quiet"
JOIN = "fedglmm-site join study.toml --data {} --keys keys/a --coordinator 127.0.0.1:9 --timeout 0 --out own"
WITH_TABLE = (DRAFT, REHEARSE, JOIN)

LONG = "y,sex,age\n" + "\n".join(f"{i % 2},s{i},{i % 90}" for i in range(100_000)) + "\n"
BAD_TABLES: dict[str, tuple[str, bytes | None, str]] = {
    "missing": ("t.csv", None, "t.csv"),
    "a folder": ("folder.csv", None, "folder.csv"),
    "0 bytes": ("t.csv", b"", "is empty (0 bytes)"),
    "neither format": ("t.xlsx", b"PK\x03\x04", "is neither .csv nor .parquet"),
    "no header": ("t.csv", b"\n\n\n", "has no header"),
    "no rows": ("t.csv", b"y,sex,age\n", "has a header but no rows"),
    "truncated row": ("t.csv", TABLE.encode()[:-6], "line 41 has 1 cells where the header has 3"),
    "truncated quote": ("t.csv", b'y,sex,age\n1,"f,20\n', "is not valid CSV"),
    "truncated Parquet": ("t.parquet", parquet(pd.DataFrame({"y": [0, 1]}))[:-9], "is not a readable Parquet file"),
    "Latin-1": ("t.csv", "y,sex,age,café\n1,f,20,é\n".encode("latin-1"), "line 1 is not UTF-8 text"),
    "UTF-16": ("t.csv", TABLE.encode("utf-16"), "is not UTF-8 text"),
    "binary": ("t.csv", bytes(range(256)), "is not UTF-8 text"),
    "semicolons": ("t.csv", TABLE.replace(",", ";").encode(), "its columns are not separated by commas"),
    "duplicate column": ("t.csv", TABLE.replace("y,sex,age", "y,sex,sex").encode(), "column sex stands twice"),
    "misspelt column": ("t.csv", TABLE.replace("y,sex,age", "y,sex,AGE").encode(), "did you mean `AGE`?"),
    "missing column": ("t.csv", b"y,sex\n1,f\n0,m\n", "column age, which the "),
    "dates": ("t.csv", b"y,sex,age\n" + b"1,f,1980-02-29\n0,m,1999-12-31\n" * 20, "column age: "),
    "dates of Parquet": (
        "t.parquet",
        parquet(pd.DataFrame({"y": [0, 1], "sex": ["f", "m"], "age": pd.to_datetime(["1980-02-29", "1999-12-31"])})),
        "column age: ",
    ),
    "mixed types": ("t.csv", TABLE.replace(",25", ",about 25").encode(), "such as 'about 25'"),
    "a 100,000-level factor": ("t.csv", LONG.encode(), "column sex: "),
    "an empty column": ("t.csv", b"y,sex,age\n" + b"1,f,\n0,m,NA\n" * 20, "column age"),
    "infinite": ("t.csv", TABLE.replace(",25", ",inf").encode(), "column age: "),
    "lists in cells": (
        "t.parquet",
        parquet(pd.DataFrame({"y": [0, 1], "sex": ["f", "m"], "age": [[1], [2]]})),
        "column age: holds values that are neither text nor numbers",
    ),
}


@pytest.mark.parametrize("command", WITH_TABLE, ids=["draft", "rehearse", "join"])
@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table(home: Path, run: Run, command: str, case: str) -> None:
    name, content, sentence = BAD_TABLES[case]
    if content is not None:
        (home / name).write_bytes(content)
    if case == "a folder":
        (home / name).mkdir()
    code, said = run(command.format(name))
    one_sentence(said, command.split(maxsplit=1)[0])
    assert code == 2
    assert sentence in said
    assert not list(home.glob("run/result.json"))
    assert not (home / "own" / "result.json").exists()


NOTES = [row.replace(",", f',"two\nlines, ""{i}""",', 1) for i, row in enumerate(ROWS)]
GOOD_TABLES = {
    "BOM": TABLE.encode("utf-8-sig"),
    "quoted newlines": ('y,"the\nnote",sex,age\n' + "\n".join(NOTES)).encode(),
    "CRLF": TABLE.replace("\n", "\r\n").encode(),
    "quotes and empty lines": TABLE.replace(",f,", ',"f",').replace("\n", "\n\n").encode(),
    "spaces": TABLE.replace(",", " , ").encode(),
}


@pytest.mark.parametrize("command", WITH_TABLE[:2], ids=["draft", "rehearse"])
@pytest.mark.parametrize("case", GOOD_TABLES)
def test_an_unusual_table_that_is_right(home: Path, run: Run, command: str, case: str) -> None:
    (home / "t.csv").write_bytes(GOOD_TABLES[case])
    assert run(command.format("t.csv")) == (0, "")


CHECK = "fedglmm study check {}"
ADD_SITE = "fedglmm study add-site {} d keys/coordinator/public.toml"
SET_COORDINATOR = "fedglmm study set-coordinator {} keys/coordinator/public.toml --replace"
REHEARSE_STUDY = "fedglmm rehearse {} --site a=a.csv --site b=b.csv --site c=c.csv --out run --transport memory"
SERVE = "fedglmm-coordinator serve {} --keys keys/coordinator --listen 127.0.0.1:0 --out out --timeout 0"
JOIN_STUDY = "fedglmm-site join {} --data a.csv --keys keys/a --coordinator 127.0.0.1:9 --timeout 0 --out own"
SITE_CHECK = "fedglmm-site check {} --data a.csv --site a"
APPROVE = "fedglmm-site approve {} --keys keys/a"
DEAL = "fedglmm paillier deal {} --out shares"
WITH_STUDY = (CHECK, ADD_SITE, SET_COORDINATOR, REHEARSE_STUDY, SERVE, JOIN_STUDY, SITE_CHECK, APPROVE, DEAL)
STUDY_IDS = ["check", "add-site", "set-coordinator", "rehearse", "serve", "join", "site check", "approve", "deal"]

MANY = ", ".join(f'"s{i}"' for i in range(100_000))
BAD_STUDIES: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "s.toml: cannot be read as a study file"),
    "0 bytes": (b"", "s.toml: "),
    "truncated": (STUDY.encode()[:-8], "s.toml: is not valid TOML"),
    "wrong TOML": (b"[study\nid = 1", "s.toml: is not valid TOML"),
    "not text": (bytes(range(256)), "s.toml: is not UTF-8 text"),
    "UTF-16": (STUDY.encode("utf-16"), "s.toml: is not UTF-8 text"),
    "too large": (b"#" * 1_000_001, "is too large for a study file"),
    "unknown key": (STUDY.replace("family", "familly").encode(), "did you mean `family`?"),
    "unknown table": (STUDY.encode() + b"[secrets]\nx = 1\n", "secrets: is not a key of the study file"),
    "duplicate key": (STUDY.replace('id = "bad"', 'id = "bad"\nid = "worse"').encode(), "is not valid TOML"),
    "wrong type": (STUDY.replace("[0, 120]", '"old"').encode(), "variables.age.range: must be two numbers"),
    "undeclared variable": (STUDY.replace("sex + age", "sex + Aeg").encode(), "did you mean `age`?"),
    "a 100,000-level factor": (STUDY.replace('"f", "m"', MANY).encode(), "variables.sex.levels: must be at most 200"),
    "deep nesting": (b"a = " + b"[" * 5000, "s.toml: is not valid TOML"),
}


@pytest.mark.parametrize("command", WITH_STUDY, ids=STUDY_IDS)
@pytest.mark.parametrize("case", BAD_STUDIES)
def test_a_bad_study(home: Path, run: Run, command: str, case: str) -> None:
    content, sentence = BAD_STUDIES[case]
    if content is not None:
        (home / "s.toml").write_bytes(content)
    code, said = run(command.format("s.toml"))
    one_sentence(said, command.split(maxsplit=1)[0])
    assert code == 2
    assert sentence in said or case == "too large"
    assert (home / "s.toml").exists() == (content is not None)
    if content is not None:
        assert (home / "s.toml").read_bytes() == content, "a file that is refused stays as it was"
    assert not any((home / folder).exists() for folder in ("out", "own", "run", "shares")), "nothing is begun"


JOIN_HERE = "fedglmm-site join study.toml --data a.csv --keys keys/a --coordinator 127.0.0.1:9 --timeout 0 --out own"
PIPES = {
    **{name: (command.format("pipe"), "pipe") for name, command in zip(STUDY_IDS, WITH_STUDY, strict=True)},
    "table of a draft": (DRAFT.format("pipe.csv"), "pipe.csv"),
    "table of a rehearsal": (REHEARSE.format("pipe.csv"), "pipe.csv"),
    "table": (JOIN.format("pipe.csv"), "pipe.csv"),
    "key": (JOIN_HERE, "keys/a/signing.key"),
    "TLS key": (JOIN_HERE, "keys/a/tls.key"),
    "certificate": (SERVE.format("study.toml"), "keys/coordinator/tls.crt"),
    "approval": (JOIN_HERE, "study.a.approval.toml"),
    "policy": (f"{JOIN_HERE} --policy pipe", "pipe"),
    "passphrase": ("fedglmm keys new other --passphrase-file pipe", "pipe"),
    "public.toml": ("fedglmm study add-site study.toml d pipe", "pipe"),
    "result": ("fedglmm compare pipe pipe", "pipe"),
    "result of a report": ("fedglmm report done", "done/result.json"),
    "result that is in the way": (JOIN_HERE, "own/result.json"),
    "result that is in the coordinator's way": (SERVE.format("study.toml"), "out/result.json"),
    "register": (JOIN_HERE, "keys/a/register.jsonl"),
    "journal": (JOIN_HERE, "own/journal.jsonl"),
    "seed": (JOIN_HERE, "own/session.seed"),
    "audit log": (JOIN_HERE, "own/audit.log"),
    "audit log to verify": ("fedglmm-site verify-log pipe", "pipe"),
    "store": (f"{SERVE.format('study.toml')} --store pipe", "pipe"),
    "transcript": (SERVE.format("study.toml"), "out/transcript.jsonl"),
}


@pytest.mark.parametrize("what", PIPES)
def test_a_pipe_in_the_place_of_a_file(home: Path, run: Run, what: str) -> None:
    """To open one waits for somebody to write into it."""
    line, path = PIPES[what]
    (home / path).unlink(missing_ok=True)
    (home / path).parent.mkdir(exist_ok=True)
    os.mkfifo(home / path, 0o600)
    handler = signal.signal(signal.SIGALRM, waited_for_ever)
    signal.alarm(30)
    try:
        code, said = run(line)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    one_sentence(said.splitlines()[-1], line.split(maxsplit=1)[0])
    assert code == 2
    assert path.split("/")[-1] in said


def waited_for_ever(number: int, frame: object) -> None:
    pytest.fail("it waits for ever")


@pytest.mark.parametrize("command", [CHECK, ADD_SITE, SET_COORDINATOR], ids=STUDY_IDS[:3])
@pytest.mark.parametrize("text", ["\ufeff" + STUDY, STUDY.replace("\n", "\r\n")], ids=["BOM", "CRLF"])
def test_an_unusual_study_that_is_right(home: Path, run: Run, command: str, text: str) -> None:
    (home / "s.toml").write_bytes(text.encode())
    assert run(command.format("s.toml")) == (0, "")


BAD_KEYS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no folder": ("", lambda folder: folder.rename(folder.with_name("gone")), "make keys with `fedglmm keys new`"),
    "0 bytes": ("signing.key", lambda file: file.write_bytes(b""), "signing.key is not a private key in PEM"),
    "truncated": ("signing.key", lambda file: file.write_bytes(file.read_bytes()[:60]), "signing.key is not a private"),
    "not text": ("tls.crt", lambda file: file.write_bytes(bytes(range(256))), "is not in PEM"),
    "no TLS key": ("tls.key", lambda file: file.write_bytes(b""), "tls.key is not a private key in PEM"),
    "readable by a group": ("tls.key", lambda file: file.chmod(0o640), "run `chmod 600 "),
    "readable by all": ("signing.key", lambda file: file.chmod(0o604), "run `chmod 600 "),
    "another's TLS key": ("tls.key", lambda file: file.write_bytes(identity.generate().tls_key_pem), "not of one pair"),
    "a folder for a file": ("tls.crt", lambda file: (file.unlink(), file.mkdir()), "tls.crt: cannot be read"),
}


@pytest.mark.parametrize("party", ["a", "coordinator"])
@pytest.mark.parametrize("case", BAD_KEYS)
def test_bad_keys(home: Path, run: Run, party: str, case: str) -> None:
    name, spoil, sentence = BAD_KEYS[case]
    spoil(home / "keys" / party / name)
    command = JOIN_STUDY if party == "a" else SERVE
    code, said = run(command.format("study.toml"))
    one_sentence(said, command.split()[0])
    assert (code, sentence in said) == (2, True), said


BAD_POLICIES: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "p.toml: cannot be read as a policy"),
    "0 bytes": (b"", "p.toml: holds no rule"),
    "truncated": (b"minimum_si", "p.toml: "),
    "not text": (bytes(range(256)), "p.toml: is not UTF-8 text"),
    "UTF-16": ("minimum_sites = 3\n".encode("utf-16"), "p.toml: is not UTF-8 text"),
    "duplicate key": (b"minimum_sites = 3\nminimum_sites = 2\n", "p.toml: "),
    "unknown key": (b"minimum_site = 3\n", "p.toml: unknown key 'minimum_site'"),
    "wrong type": (b'minimum_sites = "three"\n', "p.toml: minimum_sites"),
    "another file": (STUDY.encode(), "p.toml: unknown key"),
    "a number of 5000 digits": (b"minimum_sites = " + b"9" * 5000, "p.toml: has a number of too many digits"),
}


@pytest.mark.parametrize("command", [SITE_CHECK, APPROVE, JOIN_STUDY], ids=["site check", "approve", "join"])
@pytest.mark.parametrize("case", BAD_POLICIES)
def test_a_bad_policy(home: Path, run: Run, command: str, case: str) -> None:
    content, sentence = BAD_POLICIES[case]
    if content is not None:
        (home / "p.toml").write_bytes(content)
    code, said = run(command.format("study.toml") + " --policy p.toml")
    one_sentence(said, "fedglmm-site")
    assert (code, sentence in said) == (2, True), said
    assert not (home / "own").exists()


BAD_PUBLIC: dict[str, bytes | None] = {
    "missing": None,
    "0 bytes": b"",
    "not TOML": b"[[[",
    "not text": bytes(range(256)),
    "another file": b'id = "bad"\n',
    "a private key": identity.generate().signing_key_pem,
    "a wrong key": b'public_key = "abc"\ncertificate = "x"\n',
    "numbers": b"public_key = 1\n",
}


@pytest.mark.parametrize("command", ["add-site study.toml d", "set-coordinator study.toml"])
@pytest.mark.parametrize("case", BAD_PUBLIC)
def test_a_bad_public_file(home: Path, run: Run, command: str, case: str) -> None:
    content, before = BAD_PUBLIC[case], (home / "study.toml").read_bytes()
    if content is not None:
        (home / "public.toml").write_bytes(content)
    code, said = run(f"fedglmm study {command} public.toml")
    one_sentence(said, "fedglmm")
    assert code == 2
    assert (home / "study.toml").read_bytes() == before
    assert "PRIVATE" not in said


BAD_LINES: dict[str, tuple[str, int, str]] = {
    "no command": ("fedglmm nothing", 2, "No such command"),
    "no option": ("fedglmm study check study.toml --nothing", 2, "No such option"),
    "no argument": ("fedglmm study check", 2, "Missing argument"),
    "no formula": ("fedglmm study draft a.csv", 2, "--formula"),
    "a wrong formula": ("fedglmm study draft a.csv --formula y", 2, "has no `~`"),
    "code in a formula": ("fedglmm study draft a.csv --formula y~__import__('os')", 2, "model.formula"),
    "a wrong family": ("fedglmm study draft a.csv --formula y~age --family gamma", 2, "gamma"),
    "a wrong type": ("fedglmm study draft a.csv --formula y~age --type age=date", 2, "write NAME=TYPE"),
    "a type of an unused variable": ("fedglmm study draft a.csv --formula y~age --type sex=group", 2, "does not use"),
    "a wrong id": ("fedglmm study draft a.csv --formula y~age --id ../x", 2, "study.id"),
    "a wrong site": ("fedglmm study add-site study.toml ../x keys/a/public.toml", 2, "must be 1 to 64 letters"),
    "a taken site": ("fedglmm study add-site study.toml a keys/coordinator/public.toml", 2, "give --replace"),
    "a taken key": ("fedglmm study add-site study.toml d keys/a/public.toml", 2, "`a` and `d` have the same"),
    "a taken coordinator": ("fedglmm study set-coordinator study.toml keys/a/public.toml", 2, "give --replace"),
    "keys that are there": ("fedglmm keys new keys/a", 2, "keys are never replaced"),
    "keys in a file": ("fedglmm keys new study.toml", 2, "study.toml"),
    "a missing passphrase": ("fedglmm keys new k --passphrase", 2, "no terminal to ask at"),
    "a missing passphrase file": ("fedglmm keys new k --passphrase-file none", 2, "none: cannot be read"),
    "a result of another study": (
        SERVE.format("study.toml"),
        2,
        "result.json: is the result of another study (other, ",
    ),
    "a site's result of another study": (JOIN_STUDY.format("study.toml"), 2, "result.json: is the result of another"),
    "compare nothing": ("fedglmm compare one two", 2, "one: cannot be read as a result"),
    "compare a table": ("fedglmm compare a.csv b.csv", 2, "a.csv: is not JSON"),
    "a site without a table": ("fedglmm rehearse study.toml --site a=a.csv --out run", 2, "no table for b, c"),
    "a site twice": ("fedglmm rehearse study.toml --site a=a.csv --site a=b.csv --out run", 2, "given twice"),
    "a folder that is not empty": (REHEARSE_STUDY.format("study.toml").replace("out run", "out ."), 2, "is not empty"),
    "no patience": (SERVE.format("study.toml") + " --patience 0", 2, "greater than or equal to 1"),
    "a timeout that is no number": (JOIN_STUDY.format("study.toml") + " --timeout nan", 2, "'--timeout'"),
    "nowhere to listen": (SERVE.format("study.toml").replace("127.0.0.1:0", "here"), 2, "is not HOST:PORT"),
    "nobody to call": (JOIN_STUDY.format("study.toml").replace("127.0.0.1:9", "there"), 2, "is not HOST:PORT"),
    "nobody answers": (JOIN_STUDY.format("study.toml"), 5, "no answer from the coordinator"),
    "another's keys": (JOIN_STUDY.format("study.toml").replace("keys/a", "keys/coordinator"), 3, "not in the study's"),
    "a missing policy": (JOIN_STUDY.format("study.toml") + " --policy none.toml", 2, "none.toml"),
    "an unreadable policy": (JOIN_STUDY.format("study.toml") + " --policy a.csv", 2, "a.csv"),
    "an unknown key of the policy": (JOIN_STUDY.format("study.toml") + " --policy study.toml", 2, "study.toml"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_command_line(home: Path, run: Run, case: str) -> None:
    line, expected, sentence = BAD_LINES[case]
    if "of another study" in case:
        for name in ("out", "own"):
            (home / name).mkdir()
            (home / name / "result.json").write_text('{"study": {"id": "other", "digest": "00"}}')
    code, said = run(line)
    last = said.splitlines()[-1]  # a site says first that it tries to connect
    one_sentence(last, line.split()[0])
    assert (code, sentence in last) == (expected, True), said


def test_two_studies_in_one_folder(home: Path, run: Run) -> None:
    """The one that is not over keeps its seed, its journal and its audit log."""
    given = Study.parse((home / "study.toml").read_text(), "study.toml")
    other = Study.parse(given.to_toml().replace('id = "bad"', 'id = "other"'), "other.toml")
    (home / "other.toml").write_text(other.to_toml())
    assert run("fedglmm-site approve other.toml --keys keys/a")[0] == 0
    (home / "policy.toml").write_text('repeated_studies = "allow"\n')
    assert run(f"{JOIN_STUDY.format('study.toml')} --policy policy.toml")[0] == 5
    kept = {path: path.read_bytes() for path in [*(home / "own").iterdir(), home / "keys" / "a" / "register.jsonl"]}
    code, said = run(f"{JOIN_STUDY.format('other.toml')} --policy policy.toml")
    one_sentence(said, "fedglmm-site")
    assert (code, f"another study (digest {given.hexdigest[:16]}) that has not ended; choose" in said) == (2, True), (
        said
    )
    assert {path: path.read_bytes() for path in kept} == kept
    assert run(f"{JOIN_STUDY.format('study.toml')} --policy policy.toml")[0] == 5
    assert (home / "own" / "session.seed").read_bytes() == kept[home / "own" / "session.seed"]


def test_the_commands_above_work_with_good_inputs(home: Path, run: Run) -> None:
    """Else their refusals would prove nothing."""
    for command in (DRAFT.format("a.csv"), REHEARSE.format("a.csv"), CHECK.format("study.toml")):
        assert run(command)[0] == 0
    assert run("fedglmm keys new keys/d")[0] == 0
    assert run("fedglmm study add-site study.toml d keys/d/public.toml") == (0, "")
    assert run(SET_COORDINATOR.format("study.toml")) == (0, "")
    assert run("fedglmm compare run run/result.json")[0] == 2  # the same model: nothing to test
    assert [site.name for site in Study.parse((home / "study.toml").read_text(), "s").sites] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("line", ["study check s.toml", "study draft t.csv --formula y~x", "keys new study.toml/x"])
def test_real_processes_end_as_well(deploy, line: str) -> None:
    deployment = deploy()
    (deployment.folder / "s.toml").write_bytes(b"\xff")
    program = deployment.program("fedglmm", *line.split())
    assert program.end() == 2
    assert program.stderr.count("\n") == 1
    assert program.error.startswith("fedglmm: ")


@pytest.mark.parametrize("program", APPS)
def test_the_version(program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", [program, "--version"])
    with pytest.raises(SystemExit) as ended:
        shell.run(APPS[program], program)
    assert (ended.value.code or 0, capsys.readouterr().out) == (0, f"{program} {version('fedglmm-secure')}\n")


def commands(app: typer.Typer) -> list[tuple[str, Any]]:
    """Every command of a program with the words that call it."""
    found = []
    rest = [("", typer.main.get_command(app))]
    while rest:
        words, command = rest.pop()
        parts = getattr(command, "commands", {})
        found += [] if parts else [(words, command)]
        rest += [(f"{words} {name}", part) for name, part in parts.items()]
    return found


@pytest.mark.parametrize("program", APPS)
def test_the_example_in_each_commands_help_is_a_call_of_it(program: str) -> None:
    for words, command in commands(APPS[program]):
        (example,) = re.findall(r"\n\x08\nExample:\n  (.*?)(?: > \S+)?$", command.help, re.DOTALL)
        assert all(len(line) < 78 for line in example.splitlines()), "whole in a terminal of 80 columns"
        called, arguments = f"{program}{words}", shlex.split(example.replace("\\\n", ""))
        assert example.startswith(f"{called} "), called
        command.make_context(called, arguments[len(called.split()) :])


def test_keys_are_private_from_the_start(home: Path, run: Run) -> None:
    assert run("fedglmm keys new keys/new")[0] == 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home / "keys" / "new").iterdir()}
    assert all(modes[name] == 0o600 for name in identity.PRIVATE_FILES)
    assert stat.S_IMODE((home / "keys" / "new").stat().st_mode) == 0o700
