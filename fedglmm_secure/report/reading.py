"""result.json and report.json, read back and checked. Whoever sent them is not trusted."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fedglmm_secure.errors import InputError
from fedglmm_secure.estimate.result import FORMAT, SITE_FORMAT, FitResult
from fedglmm_secure.report.numbers import plain

Count = Annotated[int, Field(ge=0)]
T = TypeVar("T")
AGAIN = "copy the file again from the program that wrote it"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True)


class GroupModes(_Table):
    """One group of a site: its rows, and each random term's conditional mode and spread given the data."""

    group: str
    rows: Count
    mode: dict[str, float]
    std_dev: dict[str, float]


class ReportedStudy(_Table):
    """Which study a site's report belongs to."""

    id: str
    digest: str


class SiteReport(_Table):
    """The content of a site's report.json (``estimate.local.local_report``)."""

    site: str
    study: ReportedStudy
    rows: Count
    rows_dropped: Count
    sums_answered: Count
    groups: tuple[GroupModes, ...]

    @property
    def terms(self) -> tuple[str, ...]:
        """The random terms, the same for every group."""
        return tuple(self.groups[0].mode) if self.groups else ()


def read_result(text: str, source: str) -> FitResult:
    """The fit in a result.json; InputError, which names ``source`` and the key, when it does not hold one."""
    fit, content = _read(FitResult, FORMAT, text, source)
    _refuse_unknown(content, asdict(fit), source)
    for effect in fit.random_effects:
        matrices = (effect.correlation, effect.correlation_std_error)
        lists = (effect.std_dev, effect.std_error, *matrices, *(row for matrix in matrices for row in matrix))
        if set(map(len, lists)) != {len(effect.terms)}:
            raise InputError(f"{source}: random_effects: its lists do not all have one entry a term; {AGAIN}")
    return fit


def read_site_report(text: str, source: str) -> SiteReport:
    """The report in a site's report.json; InputError, which names ``source`` and the key, when it does not hold one."""
    report, content = _read(SiteReport, SITE_FORMAT, text, source)
    _refuse_unknown(content, report.model_dump(), source)
    if any(set(names) != set(report.terms) for group in report.groups for names in (group.mode, group.std_dev)):
        raise InputError(f"{source}: groups: not all have the same terms; {AGAIN}")
    return report


def _read(kind: type[T], written_as: str, text: str, source: str) -> tuple[T, dict[str, Any]]:
    """The value in ``text``, and the JSON object it was read from without its ``format``."""
    try:
        content = _plain(json.loads(text))
    except (ValueError, RecursionError):
        raise InputError(f"{source}: is not JSON, or was cut off; {AGAIN}") from None
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found != written_as:
        raise InputError(
            f"{source}: has the format {_shown(found)}, not {written_as!r}; use the version of fedglmm that wrote it"
        )
    try:
        return TypeAdapter(kind).validate_json(json.dumps(content), strict=True), content
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(
            f"{source}: {_key(first['loc']) or 'the file'}: {first['msg'][:1].lower()}{first['msg'][1:]}; "
            f"{AGAIN}, or use the version of fedglmm that wrote it"
        ) from None


def _plain(content: Any) -> Any:
    """The same with every text cleaned: a page and an image cannot hold all that JSON can."""
    if isinstance(content, str):
        return plain(content)
    if isinstance(content, list):
        return [_plain(value) for value in content]
    if isinstance(content, dict):
        return {plain(key): _plain(value) for key, value in content.items()}
    return content


def _refuse_unknown(given: object, known: object, source: str, at: tuple[str | int, ...] = ()) -> None:
    """Raise InputError for a key that was read over: a page must not leave out in silence what it does not know."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            if key not in known:
                raise InputError(
                    f"{source}: {_key((*at, key))}: is not a key that this version of fedglmm knows; "
                    "use the version that wrote it"
                )
            _refuse_unknown(value, known[key], source, (*at, key))
    elif isinstance(given, list) and isinstance(known, (list, tuple)):
        for i, (value, read) in enumerate(zip(given, known, strict=True)):
            _refuse_unknown(value, read, source, (*at, i))


def _key(location: tuple[str | int, ...]) -> str:
    """A dotted key; entries of a list are counted from 1, as a reader counts them."""
    parts = [f"[{part + 1}]" if isinstance(part, int) else f".{_word(part)}" for part in location]
    return "".join(parts).removeprefix(".")


def _word(key: str) -> str:
    return key if key.isprintable() and len(key) <= 60 else _shown(key)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
