"""The files that all programs read: a study, and the keys of a party."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum.paillier import KeyShare
from fedglmm_secure.shell.passphrase import read_passphrase, refuse_shared
from fedglmm_secure.study import Study
from fedglmm_secure.wire.identity import (
    ENCRYPTION_KEY,
    PRIVATE_FILES,
    SIGNING_KEY,
    TLS_CERTIFICATE,
    TLS_KEY,
    Identity,
    is_encrypted,
)
from fedglmm_secure.wire.key_share import open_share

MOST_TEXT = 2**26
"""Bytes of a text file: a site's report on 100,000 groups has some 10 MB. A device may have no end."""

SHARE = "paillier.share"
"""A site's Paillier key share, when it lies with the site's keys."""


def read_study(path: Path) -> Study:
    """The study in a file; InputError when it cannot be read or is not valid."""
    return Study.parse(read_text(path, "a study file"), str(path))


def read_text(path: Path, kind: str) -> str:
    """The text of a file that should be ``kind``; InputError when there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_TEXT + 1)
        if len(content) > MOST_TEXT:
            raise InputError(f"{path}: is too large for {kind}; check that it is the right file")
        return content.decode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read as {kind}: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text, so it is not {kind}; check that it is the right file") from None


def read_bytes(path: Path, kind: str) -> bytes:
    """The content of a file that should be ``kind``; InputError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read as {kind}: {error.strerror}; check the path") from None


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


def replace_text(path: Path, text: str) -> None:
    """Put ``text`` in the place of a file's content, all of it or nothing, whatever happens meanwhile."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, target.stat().st_mode & 0o777)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def refuse_other_result(folder: Path, study: Study) -> None:
    """Raise InputError when ``folder`` holds the result of another study, which would be replaced."""
    file = folder / "result.json"
    try:
        held = json.loads(file.read_bytes())["study"]
        digest, name = str(held["digest"]), str(held["id"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError):
        raise InputError(
            f"{file}: is no result of this program, and would be replaced; move it, or choose another --out"
        ) from None
    if digest != study.hexdigest:
        raise InputError(
            f"{file}: is the result of another study ({name}, digest {digest[:16]}), and would be replaced; choose "
            "another --out folder"
        )


def _read_key(path: Path) -> bytes:
    try:
        if path.name in PRIVATE_FILES:
            refuse_shared(path)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; make keys with `fedglmm keys new`") from None
