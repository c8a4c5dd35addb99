"""Valid messages of the test vectors, and ways to damage them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from hypothesis import strategies as st

VECTORS = Path(__file__).parents[1] / "vectors"
KINDS = ("SiteMessage", "CoordinatorMessage")


def _valid() -> dict[str, list[bytes]]:
    """Every different message of the vectors, by direction."""
    found: dict[str, dict[bytes, None]] = {kind: {} for kind in KINDS}
    for vector in json.loads((VECTORS / "messages.json").read_text(encoding="utf-8"))["vectors"]:
        if vector["operation"] == "decode_message" and "result" in vector:
            found[vector["given"]["kind"]][bytes.fromhex(vector["given"]["bytes"])] = None
    for path in VECTORS.glob("transcript_*.json"):
        for event in json.loads(path.read_text(encoding="utf-8"))["messages"]:
            kind = KINDS[event["from"] == "coordinator"]
            found[kind][bytes.fromhex(event["bytes"])] = None
    return {kind: list(messages) for kind, messages in found.items()}


VALID = _valid()
HUGE = [
    b"\xff" * 9 + b"\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\x7f",
    b"\x80\x80\x80\x80\x10",
    b"\x00",
    b"\xff" * 11,
]
"""Numbers and lengths at the edges, as varints."""


def mangle(data: bytes, random: Random) -> bytes:
    """``data`` with one to four changes: cut, flipped, removed, repeated, moved, or with a huge length in it."""
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        at = random.randrange(len(data) + 1)
        size = random.choice([1, 1, 2, 8, 40])
        match random.randrange(7):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]
            case 2:
                data = data[:at] + data[at + size :]
            case 3:
                data = data[:at] + data[at : at + size] * 2 + data[at + size :]
            case 4:
                data = data[:at] + random.randbytes(size) + data[at + size :]
            case 5:
                data = data[:at] + random.choice(HUGE) + data[at + 1 :]
            case _:
                data = data[at:] + data[:at]
    return data


def mangled(kind: str) -> st.SearchStrategy[bytes]:
    """A valid message of a direction, mangled."""
    return st.builds(lambda data, seed: mangle(data, Random(seed)), st.sampled_from(VALID[kind]), st.integers(0, 2**32))
