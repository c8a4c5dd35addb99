"""The study's digest: ``docs/protocol.md``, "The study's digest"."""

from __future__ import annotations

import tomllib
from typing import Any

from tests.vectors.independent.hashing import digest

DEFAULTS: dict[str, dict[str, Any]] = {
    "study": {"title": ""},
    "model": {"method": "laplace", "penalty": 0.0, "max_rounds": 50, "tolerance": 1e-10},
    "security": {"protocol": "masking", "dropouts": 0, "on_dropout": "wait", "minimum_sites": 3},
    "disclosure": {
        "minimum_cell": 3, "minimum_rows": 3, "maximum_parameters_per_row": 0.33, "maximum_levels": 40,
        "maximum_levels_per_row": 0.33, "few_groups": "refuse",
    },
    "coordinator": {},
}  # fmt: skip
REALS = {"penalty", "tolerance", "fraction", "range", "maximum_parameters_per_row", "maximum_levels_per_row"}
LINES = {"title", "formula", "offset", "weights", "trials"}


def study_digest(text: str) -> bytes:
    """The digest of the study in TOML."""
    given = tomllib.loads(text.removeprefix("\ufeff"))
    study = {**given, **{table: {**rest, **given.get(table, {})} for table, rest in DEFAULTS.items()}}
    model = study["model"]
    model.setdefault("nodes", 9 if model["method"] == "agh" else 1)
    if isinstance(model["penalty"], list):
        model.setdefault("selection", "aic")
    if model.get("selection") == "validation":
        study["validation"] = {"fraction": 0.3, "seed": 1, **study.get("validation", {})}
    for variable in study["variables"].values():
        variable.setdefault("shared", False)
        if variable["type"] == "count":
            variable.setdefault("range", [0.0, 10000.0])
    study["sites"] = sorted(study.get("sites", []), key=lambda site: [ord(letter) for letter in site["name"]])
    return digest("fedglmm/study/v1", _table(study))


def _table(table: dict[str, Any]) -> list[object]:
    return [[key, _value(key, table[key])] for key in sorted(table)]


def _value(key: str, value: Any) -> object:  # noqa: PLR0911  one line a kind
    if isinstance(value, dict):
        return _table(value)
    if key == "levels":
        return [_level(level) for level in value]
    if isinstance(value, list):
        return [_value(key, each) for each in value]
    if key in REALS:
        return float(value)
    if key in LINES:
        line = " ".join(value.split())
        return _without_spaces(line) if key == "formula" else line
    if key in ("certificate", "certificate_authority"):
        return "".join(line.strip() + "\n" for line in value.splitlines() if line.strip())
    if key == "certificate_name":
        return value.strip().lower()
    if key == "modulus":
        return "".join(value.split()).lower().lstrip("0")
    if key in ("public_key", "encryption_key"):
        return "".join(value.split())
    return value


def _level(level: Any) -> str:
    text = {True: "true", False: "false"}[level] if isinstance(level, bool) else str(level).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    head = text.removesuffix(".0")
    digits = head.removeprefix("-")
    if text.endswith(".0") and digits.isdigit() and digits.isascii() and (digits == "0" or digits[0] != "0"):
        text = head
    return "0" if text == "-0" else text


def _without_spaces(formula: str) -> str:
    kept, quoted = "", False
    for letter in formula:
        quoted ^= letter == "`"
        if quoted or not letter.isspace():
            kept += letter
    return kept
