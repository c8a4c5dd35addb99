"""A study's file, and the key share that a site has of it."""

from __future__ import annotations

import os
from pathlib import Path

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum.paillier import KeyShare
from fedglmm_secure.shell.files import read_bytes, read_text
from fedglmm_secure.shell.passphrase import refuse_shared
from fedglmm_secure.study import Study
from fedglmm_secure.wire.identity import Identity
from fedglmm_secure.wire.key_share import open_share

SHARE = "paillier.share"
"""A site's Paillier key share, when it lies with the site's keys."""


def read_study(path: Path) -> Study:
    """The study in a file; InputError when it cannot be read or is not valid."""
    return Study.parse(read_text(path, "a study file"), str(path))


def read_share(path: Path, own: Identity, study: Study) -> KeyShare:
    """A site's Paillier key share; InputError for a file that others can read, of another site or study, or damaged."""
    data = read_bytes(path, "a key share")
    refuse_shared(path)
    try:
        return open_share(data, own, study)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_share(path: Path, content: bytes) -> None:
    """Write a key share, readable by its owner only."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
