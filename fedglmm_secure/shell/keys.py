"""The folder of a party's keys."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from fedglmm_secure.errors import InputError
from fedglmm_secure.shell.files import read_file
from fedglmm_secure.shell.passphrase import read_passphrase, refuse_shared
from fedglmm_secure.wire.identity import (
    ENCRYPTION_KEY,
    PRIVATE_FILES,
    SIGNING_KEY,
    TLS_CERTIFICATE,
    TLS_KEY,
    Identity,
    is_encrypted,
)


def read_identity(folder: Path, passphrase_file: Path | None = None) -> Identity:
    """The identity in a keys folder; the passphrase of encrypted keys is read or asked for (``passphrase``).

    InputError for a missing or broken file, a private one that others can read, or a passphrase that does not fit.
    """
    signing, tls, certificate = (_read_key(folder / name) for name in (SIGNING_KEY, TLS_KEY, TLS_CERTIFICATE))
    encryption = _read_key(folder / ENCRYPTION_KEY) if (folder / ENCRYPTION_KEY).exists() else None
    own = Identity(signing, tls, certificate, encryption)
    if any(map(is_encrypted, (signing, tls, encryption or b""))):
        own = replace(own, passphrase=read_passphrase(folder, passphrase_file))
    try:
        own.check()
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    return own


def write_identity(folder: Path, own: Identity) -> None:
    """Write an identity's files, private keys readable by their owner only; InputError rather than replace one.

    All of them or none: half an identity would be in the way of the next.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    taken = [name for name in own.files() if (folder / name).exists()]
    if taken:
        raise InputError(f"{folder} already holds {taken[0]}; keys are never replaced, so choose another folder")
    made: list[Path] = []
    try:
        for name, content in own.files().items():
            mode = 0o600 if name in PRIVATE_FILES else 0o644
            with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                made.append(folder / name)
                file.write(content)
    except BaseException:
        for path in made:
            path.unlink()
        raise


def _read_key(path: Path) -> bytes:
    try:
        if path.name in PRIVATE_FILES:
            refuse_shared(path)
        return read_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; make keys with `fedglmm keys new`") from None
