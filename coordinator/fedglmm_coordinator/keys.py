"""Reading the coordinator's key files."""

from __future__ import annotations

from pathlib import Path

from fedglmm_secure.errors import InputError
from fedglmm_secure.wire.identity import PRIVATE_FILES, SIGNING_KEY, TLS_CERTIFICATE, TLS_KEY, Identity


def read_identity(folder: Path) -> Identity:
    """The identity in a keys folder; InputError for a missing file, or a private one that others can read."""
    return Identity(*(_read(folder / name) for name in (SIGNING_KEY, TLS_KEY, TLS_CERTIFICATE)))


def _read(path: Path) -> bytes:
    try:
        if path.name in PRIVATE_FILES and path.stat().st_mode & 0o077:
            raise InputError(f"{path} can be read by others than its owner; run `chmod 600 {path}`")
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); make it with `fedglmm keys new`"
        ) from error
