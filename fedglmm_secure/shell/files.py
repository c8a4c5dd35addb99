"""The files of all programs, whatever is in them: text that is read, and text that is replaced."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from fedglmm_secure.errors import InputError

if TYPE_CHECKING:
    from fedglmm_secure.study import Study

MOST_TEXT = 2**26
"""Bytes of a text file: a site's report on 100,000 groups has some 10 MB. It is read as a whole."""


def read_file(path: Path, most: int = -1, *, pipe: bool = False) -> bytes:
    """What a file holds, of a larger one the first ``most`` bytes; OSError for what is no file.

    To open or read a pipe or a device may take for ever. Where a ``pipe`` will do, as for a passphrase that another
    program writes, one that nobody has open for writing is empty.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) and not (pipe and stat.S_ISFIFO(mode)):
            raise OSError(errno.EINVAL, "it is a folder, pipe or device, and no file", str(path))
        os.set_blocking(file.fileno(), True)
        return file.read(most)


def read_text(path: Path, kind: str) -> str:
    """The text of a file that should be ``kind``; InputError when there is none."""
    try:
        content = read_file(path, MOST_TEXT + 1)
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
        return read_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read as {kind}: {error.strerror}; check the path") from None


def replace_text(path: Path, text: str) -> None:
    """Put ``text`` in the place of a file's content, or in a new file, all of it or nothing, whatever happens.

    OSError names the file.
    """
    target = path.resolve()
    name = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(name, target.stat().st_mode & 0o777)
        os.replace(name, target)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def refuse_other_result(folder: Path, study: Study) -> None:
    """Raise InputError when ``folder`` holds the result of another study, which would be replaced."""
    file = folder / "result.json"
    try:
        held = json.loads(read_file(file))["study"]
        digest, name = str(held["digest"]), str(held["id"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise InputError(
            f"{file}: is no result of this program, and would be replaced; move it, or choose another --out"
        ) from None
    if digest != study.hexdigest:
        raise InputError(
            f"{file}: is the result of another study ({name}, digest {digest[:16]}), and would be replaced; choose "
            "another --out folder"
        )
