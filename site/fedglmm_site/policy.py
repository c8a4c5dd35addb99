"""The site's own policy file: what this site demands beyond the study."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum import Policy


def read_policy(path: Path | None) -> Policy:
    """The policy in a TOML file (``allow_plain``, ``minimum_sites``, both optional), or the default."""
    if path is None:
        return Policy()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a policy file ({error}); correct it") from error
    allow_plain, minimum_sites = (
        data.pop("allow_plain", False),
        data.pop("minimum_sites", Policy.minimum_sites),
    )
    if data:
        raise InputError(f"{path}: unknown key {next(iter(data))!r}; use allow_plain and minimum_sites")
    if type(allow_plain) is not bool or type(minimum_sites) is not int:
        raise InputError(f"{path}: allow_plain must be true or false, and minimum_sites a whole number")
    return Policy(minimum_sites=minimum_sites, allow_plain=allow_plain)
