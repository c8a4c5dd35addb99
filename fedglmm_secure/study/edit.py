"""Changes to the text of a study file that leave its author's comments, order and white space alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.items import Array, InlineTable, Table

from fedglmm_secure.errors import InputError
from fedglmm_secure.study.schema import Coordinator, Site
from fedglmm_secure.study.study import BYTE_ORDER_MARK, Study
from fedglmm_secure.study.toml import read_toml

Keys = Mapping[str, str]
_COORDINATORS = tuple(Coordinator.model_fields)


def parse_public(text: str, source: str) -> Keys:
    """The keys in a ``public.toml``: those of a roster's entry. InputError for any other file."""
    try:
        data = read_toml(text.removeprefix(BYTE_ORDER_MARK))
    except InputError:
        data = {}
    known = set(Site.model_fields) - {"name"}
    if not data or not set(data) <= known or not all(isinstance(value, str) for value in data.values()):
        raise InputError(f"{source}: is not a public.toml; give the one that `fedglmm keys new` wrote for this party")
    return data


def add_site(text: str, source: str, name: str, keys: Keys, *, replace: bool = False) -> str:
    """``text`` with the roster entry of site ``name``.

    An entry that has only a name is filled in; one that has other keys is an InputError unless ``replace``. So is a
    key that another site has.
    """
    study = Study.parse(text, source)
    before = {site.name: site.model_dump(exclude_none=True) for site in study.sites}
    entry = {"name": name, **keys}
    if len(before.get(name, {})) > 1 and before[name] != _normal(entry) and not replace:
        raise InputError(f"{source}: site {name} is already there with other keys; give --replace to change them")
    document = _open(text)
    sites = document.setdefault("sites", tomlkit.aot())
    place = next((site for site in sites if site.get("name") == name), None)
    if place is None:
        place = tomlkit.inline_table() if isinstance(sites, Array) else tomlkit.table()
        sites.append(place)
        place = sites[-1]
    _write(place, entry, tuple(Site.model_fields))
    data = study.model_dump()
    data["sites"] = [*(site for site in data["sites"] if site["name"] != name), entry]
    return _checked(document, data, source)


def set_coordinator(text: str, source: str, keys: Keys, *, replace: bool = False) -> str:
    """``text`` with the coordinator's certificate; InputError for another one in its place, unless ``replace``."""
    study = Study.parse(text, source)
    kept = {key: value for key, value in keys.items() if key in _COORDINATORS}
    if not kept:
        raise InputError("the public.toml has no certificate, which is how the sites know a coordinator; give its own")
    before = study.coordinator.model_dump(exclude_none=True)
    document = _open(text)
    _write(document.setdefault("coordinator", tomlkit.table()), kept, _COORDINATORS)
    after = _checked(document, {**study.model_dump(), "coordinator": kept}, source)
    if before and Study.parse(after, source).coordinator != study.coordinator and not replace:
        raise InputError(f"{source}: already has a coordinator; give --replace to put this one in its place")
    return after


def _open(text: str) -> tomlkit.TOMLDocument:
    """The document, with an empty line at its end, where new tables go."""
    return tomlkit.parse(text.removeprefix(BYTE_ORDER_MARK).rstrip() + "\n\n")


def _normal(entry: Keys) -> dict[str, Any]:
    return Site(**entry).model_dump(exclude_none=True)


def _write(table: Table | InlineTable, keys: Keys, known: tuple[str, ...]) -> None:
    """Put ``keys`` into a table and take out those of ``known`` that are not among them."""
    for key in known:
        if key not in keys and key in table:
            del table[key]
    for key, value in keys.items():
        lines = "\n" in value.strip()
        if table.get(key) != value:
            table[key] = tomlkit.string(value, multiline=True) if lines else value


def _checked(document: tomlkit.TOMLDocument, data: Mapping[str, Any], source: str) -> str:
    """The document's text, which must be a study that holds ``data`` and nothing else."""
    text = tomlkit.dumps(document).rstrip() + "\n"
    if Study.parse(text, source) != Study.from_dict(data, source):
        raise InputError(f"{source}: is written in a way that cannot be edited safely; copy the keys into it by hand")
    return text
