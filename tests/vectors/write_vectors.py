"""Write the vectors anew: ``python -m tests.vectors.write_vectors``. The same files every time.

The results come from the package (``package.py``); the cases, and how each ``_bad_`` one must be refused, stand in
``cases*.py`` and ``sessions.py``. What the files hold is said in ``README.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fedglmm_secure.errors import FedglmmError
from fedglmm_secure.securesum import labels
from tests.vectors import cases, cases_messages, cases_paillier, cases_session, cases_study, package, sessions
from tests.vectors.cases import Case

FOLDER = Path(__file__).parent
FORMAT = "fedglmm-vectors/1"

TOPICS: Mapping[str, Callable[[], Iterator[Case]]] = {
    "canonical": cases.canonical_cases,
    "codec": cases.codec_cases,
    "kdf": cases.kdf_cases,
    "masks": cases.mask_cases,
    "messages": cases_messages.message_cases,
    "packing": cases_paillier.packing_cases,
    "sealed_shares": cases.sealed_cases,
    "session": cases_session.session_cases,
    "shamir": cases.shamir_cases,
    "share_file": cases.share_file_cases,
    "signatures": cases_session.signature_cases,
    "study": cases_study.study_cases,
    "threshold": cases_paillier.threshold_cases,
}


def vector(case: Case) -> dict[str, Any]:
    """A case with what the package makes of it; AssertionError when it is not refused as it must be."""
    head = {"name": case.name, "operation": case.operation, "given": case.given}
    try:
        result = package.OPERATIONS[case.operation](case.given)
    except FedglmmError as error:
        if type(error).__name__ != case.error or case.sentence not in str(error):
            raise AssertionError(f"{case.name} is refused otherwise than it must be") from error
        return {**head, "error": case.error, "sentence": case.sentence}
    assert not case.error, f"{case.name} is not refused"
    return {**head, "result": result}


def text(content: Mapping[str, Any]) -> str:
    """A file: its format and protocol version, and what it holds."""
    whole = {"format": FORMAT, "protocol": labels.PROTOCOL, **content}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """The content of each file by its name."""
    vectors = {topic: {"vectors": [vector(case) for case in made()]} for topic, made in TOPICS.items()}
    transcripts = {name: made() for name, made in sessions.SESSIONS.items()}
    return {f"{name}.json": text(content) for name, content in {**vectors, **transcripts}.items()}


def main() -> None:
    """Write all files."""
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
