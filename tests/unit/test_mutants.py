"""The list of mutants does not rot: each text is still in the code, and each test is still there."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = tomllib.loads((ROOT / "evaluation" / "security" / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
CHECKED = [
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "fedglmm_secure" / "securesum").rglob("*.py")),
    *(
        f"fedglmm_secure/wire/{name}.py"
        for name in (
            "approval",
            "audit",
            "certificates",
            "codec",
            "key_share",
            "messages",
            "question",
            "records",
            "sums",
        )
    ),
    "fedglmm_secure/canonical.py",
    "fedglmm_secure/exchange/party.py",
    "fedglmm_secure/ring.py",
    *(f"fedglmm_secure/study/{name}.py" for name in ("disclosure", "guard", "site_rows")),
    *(f"site/fedglmm_site/{name}.py" for name in ("admission", "policy", "register")),
    "coordinator/fedglmm_coordinator/server.py",
]
UNLISTED = {
    "fedglmm_secure/securesum/coordinator.py": [
        "current is None or self._machine.state is not CoordinatorState.COLLECTING"
    ],
    "fedglmm_secure/securesum/paillier/sums.py": ["terms.paillier is None"],
    "fedglmm_secure/securesum/site.py": ["self._side is None"],
    "fedglmm_secure/study/site_rows.py": ["rows is None"],
    "fedglmm_secure/wire/audit.py": ['not raw.endswith(b"\\n")'],
    "fedglmm_secure/wire/certificates.py": ["without", "trust is None"],
    "fedglmm_secure/wire/key_share.py": [
        "study.paillier is None",
        'fields.get("format") != FORMAT or not all(isinstance(fields.get(name), str) for name in wanted)',
    ],
}
"""Conditions that keep no secret: who is waited for before a session; what ``Terms``, the session id or the study rule
out; files and options that are none; a line that the next check refuses too, in other words."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant['file']}: {mutant['check']}")
def test_the_source_of_each_check_is_in_its_file_once(mutant: dict[str, str]) -> None:
    assert (ROOT / mutant["file"]).read_text(encoding="utf-8").count(mutant["old"]) == 1
    assert mutant["new"] != mutant["old"]


@pytest.mark.parametrize("test", sorted({mutant["test"] for mutant in MUTANTS}))
def test_each_test_that_must_fail_exists(test: str) -> None:
    path, *names = test.split("::")
    scope = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    for name in names:
        found = [node for node in scope if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name]
        assert len(found) == 1, name
        scope = found[0].body


def test_no_two_entries_are_the_same() -> None:
    assert len({tuple(mutant.values()) for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant["file"], mutant["check"]) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("file", CHECKED)
def test_every_refusal_of_the_guarding_files_is_in_the_list(file: str) -> None:
    """Each ``raise`` stands under an ``if`` whose condition some entry takes away, or is named below."""
    source = (ROOT / file).read_text(encoding="utf-8")
    entries = [mutant["old"].strip() for mutant in MUTANTS if mutant["file"] == file]
    conditions = [ast.get_source_segment(source, node.test) for node in ast.walk(ast.parse(source)) if raises(node)]
    missing = [text for text in conditions if text and not any(touches(text, entry) for entry in entries)]
    assert missing == UNLISTED.get(file, [])


def raises(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and any(isinstance(inner, ast.Raise) for inner in node.body)


def touches(condition: str, entry: str) -> bool:
    return condition in entry or entry.strip().removeprefix("if ").removesuffix(":") in condition
