"""The demo over gRPC under each protection: every digit of every sum is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedglmm_coordinator.store import Store
from fedglmm_secure import ring, shell
from fedglmm_secure.securesum import Coordinator
from fedglmm_secure.securesum.messages import SumMessage
from fedglmm_secure.wire.codec import decode_site
from fedglmm_secure.wire.records import read_transcript
from fedglmm_secure.wire.terms import terms_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "indomethacin"
FEDGLMM = Path(sys.executable).parent / "fedglmm"
SITES = [f"--site={table.stem}={table}" for table in sorted((EXAMPLE / "sites").glob("*.csv"))]


def rehearse(folder: Path, protocol: str, dropouts: int) -> Path:
    """The folder of a demo with these terms of protection."""
    study = folder / "study.toml"
    study.write_text((EXAMPLE / "study.toml").read_text().replace("dropouts = 0", f"dropouts = {dropouts}"))
    command = [FEDGLMM, "rehearse", study, *SITES, "--protocol", protocol, "--out", folder / "run", "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rehearse(tmp_path_factory.mktemp("masking"), "masking", 0)


def opened(run: Path) -> list[tuple[bytes, list[tuple[int, int]]]]:
    """Each question with its sum as integers modulo 2^128, opened again from all that the coordinator received."""
    study = shell.read_study(run / "study.toml")
    with Store(run / "coordinator" / "store.sqlite", study) as store:
        standing = store.standing()
    assert standing is not None
    text = (run / "coordinator" / "transcript.jsonl").read_text(encoding="ascii")
    messages = [decode_site(data) for _, data in read_transcript(text)]
    machine = Coordinator(terms_of(study))
    machine.reopen(standing.offer)
    sums = []
    for number, kept in enumerate(standing.sums, 1):
        machine.begin(kept.question, len(kept.total))
        for message in messages:
            if isinstance(message, SumMessage) and message.number == number and not machine.is_complete:
                machine.receive(message)
        elements = machine._protection.total(machine._sum.collected)
        assert ring.decode_sum(elements, 4)[1:].tobytes() == machine.total().tobytes() == kept.total.tobytes()
        sums.append((kept.question, [(int(low), int(high)) for low, high in elements]))
    return sums


@pytest.mark.parametrize(("protocol", "dropouts"), [("masking", 1), ("paillier", 0)])
def test_another_protection_changes_no_digit(masked: Path, tmp_path: Path, protocol: str, dropouts: int) -> None:
    other = rehearse(tmp_path, protocol, dropouts)
    sums = opened(other)
    assert sums == opened(masked)
    one, two = (json.loads((run / "result.json").read_text()) for run in (masked, other))
    assert two["security"]["protocol"] == protocol
    assert two["security"]["dropouts"] == dropouts
    assert [len(elements) - 1 for _, elements in sums] == two["security"]["numbers_per_sum"]
    for key in ("fixed_effects", "random_effects", "log_likelihood"):
        assert two[key] == one[key]
