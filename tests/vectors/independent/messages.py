"""Which messages can be: the sizes of the .proto and the limits of ``docs/protocol.md``, "Limits"."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.vectors.independent.hashing import canonical
from tests.vectors.independent.protobuf import ENUMS, MESSAGES, decode
from tests.vectors.independent.refusal import require

SHARE, SEALED, BATCH = 33, 49, 16
LARGEST_MESSAGE, LARGEST_VECTOR, LARGEST_BULK = 2**24, 2**18, 2**23
SIZES = {
    "study_digest": 32, "nonce": 32, "mask_public_key": 32, "signature": 64, "coordinator_nonce": 32, "digest": 32,
    "session_id": 32,
}  # fmt: skip
"""Bytes of a field wherever it stands."""


def decode_message(kind: str, data: bytes) -> dict[str, Any]:
    """A SiteMessage or CoordinatorMessage; Refused when no party sends it."""
    require(len(data) <= LARGEST_MESSAGE, "PeerError", "too large")
    message = decode(kind, data)
    chosen = [name for name, value in message.items() if value is not None]
    require(len(chosen) == 1, "PeerError", "unknown kind")
    check(next(field.type for field in MESSAGES[kind].values() if field.name == chosen[0]), message[chosen[0]])
    return message


def check(kind: str, values: Mapping[str, Any]) -> None:
    """Refused unless a message can be valid in some session."""
    for name, value in values.items():
        if name in SIZES:
            _must(len(value) == SIZES[name], name)
        if name == "site" and kind not in ("Ready", "Refusal"):
            _name(value)
        if name == "number":
            _must(value >= 1, name)
        if name == "phase":
            _must(value in ENUMS["Phase"].values(), name)
    _RULES.get(kind, lambda _: None)(values)


def _must(holds: bool, what: str) -> None:
    require(holds, "PeerError", what)


def _name(value: str) -> None:
    _must(1 <= len(value.encode("utf-8")) <= 200, "name")


def _ascending(names: Sequence[str]) -> None:
    for name in names:
        _name(name)
    _must(1 <= len(names) <= 255 and list(names) == sorted(set(names)), "ascending")


def _entries(entries: Sequence[bytes], *sizes: int) -> None:
    _must(1 <= len(entries) <= 255 and all(len(entry) in sizes for entry in entries), "entries")


def _contribution(values: Mapping[str, Any]) -> None:
    vector, sealed = values["vector"], values["sealed"]
    _must(0 < len(vector) <= 16 * LARGEST_VECTOR and len(vector) % 16 == 0, "vector")
    _must(bool(values["commitment"]) == bool(sealed), "commitment with shares")
    if sealed:
        _must(len(values["commitment"]) == 32, "commitment")
        _entries(sealed, 0, SEALED)


def _advertisement(values: Mapping[str, Any]) -> None:
    for keys in (values["wrap_keys"], values["mask_keys"]):
        _must(len(keys) == BATCH and all(len(key) == 32 for key in keys), "keys")


def _bulk(field: str) -> Callable[[Mapping[str, Any]], None]:
    return lambda values: _must(0 < len(values[field]) <= LARGEST_BULK, field)


def _offer(values: Mapping[str, Any]) -> None:
    for hello in values["hellos"]:
        check("Hello", hello)
    _ascending([hello["site"] for hello in values["hellos"]])


def _next(values: Mapping[str, Any]) -> None:
    if values["offer"] is not None:
        check("SessionOffer", values["offer"])
    _must(values["request"] is not None, "request")
    check("SumRequest", values["request"])


def _request(values: Mapping[str, Any]) -> None:
    _ascending(values["participants"])
    _must(2 <= values["length"] <= LARGEST_VECTOR, "length")
    _must(values["question"] is not None, "question")
    _must(len(question_bytes(values["question"])) <= LARGEST_BULK, "question")


def question_bytes(question: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a Question; Refused for one that nobody asks."""
    chosen = [(name, value) for name, value in question.items() if value is not None]
    _must(len(chosen) == 1, "question")
    kind, asked = chosen[0]
    lists = [asked.get("theta", []), asked.get("columns", []), asked.get("description", []), asked.get("thetas", [])]
    lists += [theta["entries"] for theta in asked.get("thetas", [])]
    _must(all(len(each) <= 4096 for each in lists), "too many entries")
    _must(all(math.isfinite(x) for each in lists for x in each if isinstance(x, float)), "not finite")
    if kind == "describe":
        return canonical(["describe"])
    if kind == "working_derivatives":
        return canonical(["working derivatives", asked["theta"], asked["columns"], asked["description"]])
    _must(1 <= asked["nodes"] <= 50, "nodes")
    common = [asked["nodes"], asked["columns"], asked["description"]]
    if kind == "held_out_likelihood":
        return canonical(["held-out likelihood", [theta["entries"] for theta in asked["thetas"]], *common])
    part = {ENUMS["Part"]["PART_ALL"]: "all", ENUMS["Part"]["PART_TRAINING"]: "training"}.get(asked["part"])
    _must(part is not None, "part")
    return canonical(["marginal derivatives", asked["theta"], *common, part])


def _relay(values: Mapping[str, Any]) -> None:
    _must(values["phase"] != 0, "phase")
    sites = []
    for part in values["parts"]:
        chosen = [(name, value) for name, value in part.items() if value is not None]
        _must(len(chosen) == 1, "part")
        name, content = chosen[0]
        check(next(field.type for field in MESSAGES["RelayPart"].values() if field.name == name), content)
        sites.append(content["site"])
    _ascending(sites)


def _parcel(values: Mapping[str, Any]) -> None:
    _must(len(values["sealed"]) in (0, SEALED, BATCH * SEALED), "parcel")
    _must(len(values["commitment"]) in (0, 32), "commitment")


def _sentence(values: Mapping[str, Any]) -> None:
    _must(len(values["sentence"].encode("utf-8")) <= 2000, "sentence")


_RULES: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "Contribution": _contribution,
    "Advertisement": _advertisement,
    "KeyShares": lambda values: _entries(values["sealed"], 0, BATCH * SEALED),
    "Agreement": lambda values: _ascending(values["survivors"]),
    "Unmasking": lambda values: _entries(values["shares"], SHARE),
    "Opening": _bulk("ciphertexts"),
    "Decryption": _bulk("partials"),
    "SessionOffer": _offer,
    "Next": _next,
    "SumRequest": _request,
    "Relay": _relay,
    "Parcel": _parcel,
    "Refusal": _sentence,
    "Stopped": _sentence,
    "Finished": lambda values: _must(len(values["result_json"]) <= 2**23, "result"),
}
