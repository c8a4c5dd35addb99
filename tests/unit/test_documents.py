"""The documents say what the code does: links, names of tests, tables of states, worked examples, exit codes."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pydantic_core import PydanticUndefined

from fedglmm_secure import canonical
from fedglmm_secure.model import questions
from fedglmm_secure.securesum import Coordinator, Policy, Seed, SigningIdentity, Site, Terms, states
from fedglmm_secure.study import Study, schema
from fedglmm_secure.wire import limits, status

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = [*GUIDES, *sorted((ROOT / "docs" / "adr").glob("*.md"))]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            assert (document.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("document", GUIDES, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    """Names such as `model/laplace.py` or `threat-model.md`: the end of the path of some file in the repository.

    Decision records may name files that no longer, or must never, exist.
    """
    folders = ("coordinator", "docs", "evaluation", "examples", "fedglmm_secure", "proto", "site", "tests")
    paths = ["/" + str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.*")]
    named = re.findall(r"`([\w./-]+\.(?:py|md|proto))(?:::\w+)?`", document.read_text(encoding="utf-8"))
    assert [name for name in named if not any(path.endswith("/" + name) for path in paths)] == []


def test_every_test_that_is_named_exists() -> None:
    tests = {path.name: functions(path) for path in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`([\w/]*?)(test_\w+\.py)?(?:::(test_\w+))?`", PROTOCOL)
    found, file = 0, ""
    for _, named_file, test in named:
        file = named_file or file
        if test:
            assert test in tests[file], f"{file}::{test}"
            found += 1
    assert found >= 35


def test_what_must_never_happen_has_a_test_that_fails_without_its_check() -> None:
    mutants = tomllib.loads((ROOT / "evaluation" / "security" / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
    killers = {mutant["test"].rpartition("::")[2] for mutant in mutants}
    section = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8").partition("## What must never happen")[2]
    rows = re.findall(r"^\| (\d) \| [^|]+ \| (.*) \|$", section.partition("\n## ")[0], re.MULTILINE)
    assert [number for number, _ in rows] == list("123456789")
    for _, tests in rows:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named
        assert set(named) <= killers


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("title", "table"), [("### Site", states.SITE), ("### Coordinator", states.COORDINATOR)])
def test_state_diagrams_are_the_tables_of_the_code(title: str, table: dict) -> None:
    section = PROTOCOL.partition(f"\n{title}\n")[2].partition("\n#")[0]
    drawn = section.partition("```mermaid\nstateDiagram-v2\n")[2].partition("```")[0].splitlines()
    arrows = [f"    {state.name} --> {then.name}: {event.name}" for (state, event), then in table.items()]
    assert drawn == [f"    [*] --> {next(iter(table))[0].name}", *arrows]
    for state in {state for state, _ in table}:
        assert f"{state.name}: {state.value}" in " ".join(section.split())


def hexadecimal(after: str) -> bytes:
    """The bytes of the indented example below ``after``: on each line what stands before two spaces and a comment."""
    block = PROTOCOL.partition(after)[2].partition("\n\n")[2].partition("\n\n")[0]
    return bytes.fromhex("".join(re.split("  +", line.strip())[0] for line in block.splitlines()))


def test_the_canonical_examples_are_what_the_code_gives() -> None:
    fields = ["fedglmm", 7, b"\x00\xff", 0.5, ["a", "b"]]
    assert hexadecimal("these 92 bytes:") == canonical.encode(fields)
    question = questions.MarginalDerivatives((0.5,), 1, (0,), (3.0,), "all")
    assert hexadecimal("these 131 bytes:") == questions.encode(question)


CODE = {
    path: path.read_text(encoding="utf-8")
    for folder in ("fedglmm_secure", "site", "coordinator")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def test_every_rule_of_the_protocol_is_named_where_the_code_checks_it() -> None:
    """As `(rule 12)`, or `(rules 21, 22 and 23)`; and the code names no other."""
    rules = re.findall(r"^\| ([a-f]|\d+) \|", PROTOCOL.partition("## What a site checks")[2], re.MULTILINE)
    assert rules == [*"abcdef", *map(str, range(1, 48))]
    named = [
        word for text in CODE.values() for group in re.findall(r"\(rules? ([^)]+)\)", text) for word in words(group)
    ]
    assert set(named) == set(rules)


def words(group: str) -> list[str]:
    return re.split(", | and ", group)


def test_every_step_of_the_protocol_is_named_in_the_code_that_takes_it() -> None:
    """M1 to M5 and P1 to P3 in the protocols' own files, the steps of the exchange in ``run``."""
    steps = re.findall(r"^([MP]\d)\. [A-Z]+", PROTOCOL, re.MULTILINE)
    assert steps == ["M1", "M2", "M3", "M4", "M5", "P1", "P2", "P3"]
    for step in steps:
        folder = ROOT / "fedglmm_secure" / "securesum" / {"M": "masking", "P": "paillier"}[step[0]]
        assert any(re.search(rf"\b{step}\b", text) for path, text in CODE.items() if path.parent == folder), step
    exchange = re.findall(r"^(\d)\. ", PROTOCOL.partition("## The exchange")[2].partition("\n## ")[0], re.MULTILINE)
    run = CODE[ROOT / "fedglmm_secure" / "securesum" / "run.py"]
    marked = {number for group in re.findall(r"# (\d(?: to \d)?)$", run, re.MULTILINE) for number in span(group)}
    assert sorted(marked) == [int(step) for step in exchange] == [1, 2, 3, 4, 5, 6]


def span(group: str) -> range:
    first, _, last = group.partition(" to ")
    return range(int(first), int(last or first) + 1)


LETTERS = {"s": str, "i": int, "f": float, "t": bool}


def test_every_key_of_a_study_is_documented_with_its_default() -> None:
    """Letter and default as the study's tables have them; those that depend on other keys are in the vectors."""
    section = PROTOCOL.partition("## The study's digest")[2].partition("| value |")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))
    tables = {"variables": schema.Variable, "sites": schema.Site, "validation": schema.Validation}
    tables |= {name: getattr(schema, name.replace("study", "header").capitalize()) for name in set(rows) - set(tables)}
    assert set(rows) == set(Study.model_fields)
    for name, table in tables.items():
        written = re.findall(r"`(\w+)` ([sift])(?: \([^)]*\))?(?: ([\w.\"-]+))?", rows[name])
        assert {key for key, _, _ in written} == set(table.model_fields)
        for key, letter, default in written:
            field = table.model_fields[key]
            value = json.loads(default.replace("none", "null")) if default else PydanticUndefined
            if (name, key) != ("model", "nodes"):  # required once the default is filled in
                assert value == field.default, (name, key)
            assert value in (None, PydanticUndefined) or type(value) is LETTERS[letter], (name, key)


def test_canonical_fields_of_every_question_are_documented() -> None:
    for kind in (
        questions.Describe,
        questions.MarginalDerivatives,
        questions.HeldOutLikelihood,
        questions.WorkingDerivatives,
    ):
        assert f'| {kind.__name__} | `["{kind.kind}"' in PROTOCOL


def test_the_worked_example_is_what_the_code_gives() -> None:
    written = example()
    signing = {name: SigningIdentity.from_private_bytes(bytes([i]) * 32) for i, name in enumerate("abc", 1)}
    roster = tuple((name, key.public_bytes) for name, key in signing.items())
    terms = Terms("masking", bytes(range(32)), roster, minimum_sites=3, max_sums=5)
    coordinator = Coordinator(terms)
    sites = {}
    for i, name in enumerate("abc", 1):
        sites[name] = Site(terms, signing[name], Policy(), Seed(bytes([0x10 + i]) * 32), randomness=drawn())
        hello = sites[name].hello()
        assert hello.nonce.hex() == written[f"nonce {name}"]
        assert signing[name].public_bytes.hex() == written[f"roster key {name}"]
        assert hello.mask_public_key.hex() == written[f"mask key {name}"]
        coordinator.receive_hello(hello)
    offer = coordinator.offer(drawn(0x30))
    assert offer.hellos[0].signature.hex() == written["signature of a"]
    for site in sites.values():
        site.open(offer)
    assert coordinator.session_id.hex() == written["session_id"]
    question = questions.encode(questions.Describe())
    assert question.hex() == written["question"]
    assert canonical.digest("fedglmm/securesum/v1/question", question).hex() == written["question_digest"]
    request = coordinator.begin(question, 2)
    for name, answer in (("a", [1.5, -0.25]), ("b", [100.0, 2.0**-44]), ("c", [0.0, -1e6])):
        assert sites[name].receive(request) is None
        step = sites[name].answer(np.array(answer), ("first", "second"))
        assert step.record.context.hex() == written["context"]
        assert step.message.vector.hex() == written[f"contribution {name}"]
        coordinator.receive(step.message)
    assert coordinator.total().tolist() == [101.5, -1000000.25]


def example() -> dict[str, str]:
    """The lines `name   hexadecimal` of the worked example, continued lines joined."""
    section = PROTOCOL.partition("## A worked example")[2].partition("\n## ")[0]
    written: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        found = re.fullmatch(r"    (\S.{0,15}?\S)?\s+((?:[0-9a-f]+ ?)+)", line)
        if found:
            name = found[1] or name
            written[name] = written.get(name, "") + found[2].replace(" ", "")
    return written


def drawn(*values: int):
    """A source of randomness: 32 times each value, in turn."""
    left = list(values)
    return lambda size: bytes([left.pop(0)]) * size


def test_exit_codes_and_statuses_are_those_of_the_code() -> None:
    rows = {row.error.__name__: row for row in status.TABLE}
    documented = re.findall(r"^\| (\w+Error) \| (\d) \| ([A-Z_]+) \|", PROTOCOL, re.MULTILINE)
    assert {name for name, _, _ in documented} == set(rows) - {"FedglmmError"}
    for name, code, grpc_status in documented:
        row = rows[name]
        assert (row.error.exit_code, int(row.category), row.status) == (int(code), int(code), grpc_status)


def test_limits_are_those_of_the_code() -> None:
    assert f"| nodes on the wire | 1 to {limits.MAX_NODES} |" in PROTOCOL
    assert f"| entries of theta, columns, description or thetas | {limits.MAX_ENTRIES} |" in PROTOCOL
    assert f"| message | {limits.MAX_MESSAGE_BYTES // 2**20} MiB |" in PROTOCOL
    assert f"| fields of a message, with those of messages in it | {limits.MAX_FIELDS} |" in PROTOCOL
    assert f"| result | {limits.MAX_RESULT_BYTES // 2**20} MiB |" in PROTOCOL
    assert f"| sentence | {limits.MAX_SENTENCE_BYTES} bytes |" in PROTOCOL
    assert f"| poll | {limits.POLL_SECONDS:g} s |" in PROTOCOL
    assert f"| call | {limits.CALL_SECONDS:g} s |" in PROTOCOL
