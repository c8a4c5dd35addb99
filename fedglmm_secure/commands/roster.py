"""Who takes part, written into a study's file from the public.toml of each."""

from __future__ import annotations

from pathlib import Path

from fedglmm_secure import shell
from fedglmm_secure.study import edit
from fedglmm_secure.wire import identity


def add_site(study: Path, name: str, public: Path, *, replace: bool) -> None:
    """Write a site's keys into the roster; ``replace`` as for ``edit.add_site``."""
    text = shell.read_text(study, "a study file")
    shell.replace_text(study, edit.add_site(text, str(study), name, _public(public), replace=replace))


def set_coordinator(study: Path, public: Path, *, replace: bool) -> None:
    """Write the coordinator's certificate into the study; ``replace`` as for ``edit.set_coordinator``."""
    text = shell.read_text(study, "a study file")
    shell.replace_text(study, edit.set_coordinator(text, str(study), _public(public), replace=replace))


def _public(path: Path) -> edit.Keys:
    keys = edit.parse_public(shell.read_text(path, "a public.toml"), str(path))
    if "certificate" in keys:
        identity.certificate_der(keys["certificate"])
    return keys
