"""What differs between two versions of a study, key by key: what a steward looks at before approving again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fedglmm_secure.study.formula import without_spaces
from fedglmm_secure.study.study import Study

_ABSENT = "not there"
_LONGEST = 40


def changes(before: Study, after: Study) -> tuple[str, ...]:
    """A phrase for each key that makes the digests differ, such as ``model.nodes was 9 and is 5``."""
    old, new = dict(_flat("", _tables(before))), dict(_flat("", _tables(after)))
    return tuple(
        f"{key} was {old.get(key, _ABSENT)} and is {new.get(key, _ABSENT)}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    )


def _tables(study: Study) -> Mapping[str, object]:
    fields = study.model_dump(exclude_none=True)
    fields["model"]["formula"] = without_spaces(study.model.formula)
    fields["sites"] = {site.pop("name"): site or "there" for site in fields["sites"]}
    return fields


def _flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    """Dotted keys and their values as text, keys and certificates as their last letters."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
        return
    text = " ".join(str(list(value) if isinstance(value, tuple) else value).split())
    text = text.removesuffix("-----END CERTIFICATE-----").strip()
    yield prefix, text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"
