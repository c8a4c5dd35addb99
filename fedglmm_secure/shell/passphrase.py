"""The passphrase of encrypted keys: from a file, from the environment, or asked for at the terminal."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure.errors import InputError
from fedglmm_secure.shell.files import MOST_TEXT, read_file

VARIABLE = "FEDGLMM_PASSPHRASE"
FILE_VARIABLE = "FEDGLMM_PASSPHRASE_FILE"
SHORTEST = 12
"""Characters of a new passphrase: whoever steals the file may try many (PKCS #8 as written here has 2048 rounds)."""

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help=f"File with the keys' passphrase; else {FILE_VARIABLE} or {VARIABLE}, else you are asked."
    ),
]


def read_passphrase(folder: Path, file: Path | None) -> bytes:
    """The passphrase of the keys in ``folder``; InputError when there is none and nobody to ask."""
    given = _given(file)
    if given is None:
        given = _ask(f"Passphrase of the keys in {folder}: ", f"the keys in {folder} are encrypted")
    return given.encode()


def new_passphrase(file: Path | None) -> bytes:
    """A passphrase for new keys, asked for twice; InputError for two that differ, or one that is too short."""
    given = _given(file)
    if given is None:
        given = _ask("New passphrase: ", "a new passphrase is needed")
        if given != _ask("The same again: ", "a new passphrase is needed"):
            raise InputError("the two passphrases differ; start again")
    if len(given) < SHORTEST:
        raise InputError(f"the passphrase has {len(given)} characters; use at least {SHORTEST}, such as four words")
    return given.encode()


def refuse_shared(path: Path) -> None:
    """Raise InputError for a secret file that others than its owner can read."""
    if path.stat().st_mode & 0o077:  # (rule 2)
        raise InputError(f"{path}: can be read by others than its owner; run `chmod 600 {path}`")


def _given(file: Path | None) -> str | None:
    """What the file (the option's, or else the environment's) or the environment holds, None where neither is."""
    named = file or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if named is None:
        return os.environ.get(VARIABLE)
    try:
        refuse_shared(named)
        text = read_file(named, MOST_TEXT, pipe=True).decode()
    except OSError as error:
        raise InputError(f"{named}: cannot be read as a passphrase: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{named}: is not UTF-8 text, so it is not a passphrase; check the path") from None
    line = text.removesuffix("\n").removesuffix("\r")
    if not line or "\n" in line:
        raise InputError(f"{named}: must hold the passphrase alone, on one line; correct it")
    return line


def _ask(prompt: str, why: str) -> str:
    if not sys.stdin.isatty():
        raise InputError(f"{why} and there is no terminal to ask at; give --passphrase-file, or set {VARIABLE}")
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise InputError(f"{why} and none was given; start again") from None
