"""The site's own table and its design. Nothing here is ever sent."""

from __future__ import annotations

from pathlib import Path

from fedglmm_secure.errors import InputError
from fedglmm_secure.model.design import Design
from fedglmm_secure.study import Study, parse_table


def read_design(study: Study, site: str, path: Path) -> Design:
    """The design of the table in ``path``; InputError (TableError for its content) says what is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path of the table") from error
    return study.design(parse_table(path.name, content), site, str(path))
