"""The vectors are those that the package gives, and an independent implementation agrees with every one of them."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vectors import write_vectors
from tests.vectors.independent.operations import OPERATIONS, agrees
from tests.vectors.independent.refusal import Refused
from tests.vectors.independent.replay import Replay, derived

FOLDER = Path(__file__).parent
FILES = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
VECTORS = [vector for content in FILES.values() for vector in content.get("vectors", ())]


def test_the_script_writes_the_committed_files_byte_for_byte() -> None:
    written = {name: content.encode() for name, content in write_vectors.files().items()}
    assert sorted(written) == sorted(FILES)
    for name, content in written.items():
        assert (FOLDER / name).read_bytes() == content, f"{name} differs; run python -m tests.vectors.write_vectors"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_an_independent_implementation_agrees(vector: dict[str, Any]) -> None:
    assert ("_bad_" in vector["name"]) == ("error" in vector)
    operation = OPERATIONS[vector["operation"]]
    if "error" in vector:
        with pytest.raises(Refused) as refusal:
            operation(vector["given"])
        assert refusal.value.error == vector["error"]
    else:
        assert agrees(vector["operation"], operation(vector["given"]), vector["result"])


def test_names_are_used_once_and_every_operation_is_used() -> None:
    names = [vector["name"] for vector in VECTORS]
    assert len(set(names)) == len(names)
    assert {vector["operation"] for vector in VECTORS} == set(OPERATIONS)


INDEPENDENT = [FOLDER / "forms.py", *sorted((FOLDER / "independent").glob("*.py"))]


@pytest.mark.parametrize("path", INDEPENDENT, ids=lambda path: path.name)
def test_the_independent_implementation_is_independent(path: Path) -> None:
    """It imports itself and the standard library, and no other code can come in behind these."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Name):
            assert node.id not in {"__import__", "exec", "eval"}
    own = ("tests.vectors.independent.", "tests.vectors.forms.")
    for module in modules:
        assert module.startswith(own) or module.partition(".")[0] in sys.stdlib_module_names - {"importlib", "runpy"}


TRANSCRIPTS = [name for name in FILES if name.startswith("transcript_")]


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_an_independent_implementation_makes_every_message_and_refuses_every_lie(name: str) -> None:
    transcript = FILES[name]
    lies = [event["name"] for event in transcript["messages"] if "error" in event]
    assert len(lies) == len(set(lies)) > 8
    assert all("_bad_" in lie for lie in lies)
    assert Replay(transcript).check() == len(lies)


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_what_a_site_keeps_follows_from_its_seed(name: str) -> None:
    for what, kept, made in derived(FILES[name]):
        assert kept == made, what
