"""Files that only their owner may read, and that survive a power cut."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def open_private(path: Path, *, appending: bool = True) -> BinaryIO:
    """Open or make a file of mode 600: read from its beginning, and ``appending`` written to at its end.

    OSError for a link or a pipe: who can write to the folder must not choose which file is written to.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_APPEND if appending else 0)

    def opened(name: str, _: int) -> int:
        handle = os.open(name, flags, 0o600)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "it is a pipe or device, and no file", name)
        return handle

    return open(path, "r+b", opener=opened)


def append(file: BinaryIO, data: bytes) -> None:
    """Return when ``data`` is on disk at the end of ``file``; on a full disk nothing of it is."""
    handle = file.fileno()
    size = os.fstat(handle).st_size
    with _named(file.name):
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fdatasync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise


def overwrite(file: BinaryIO, place: int, data: bytes) -> None:
    """Return when ``data`` is on disk from byte ``place`` on; ``file`` is not one that is only appended to."""
    with _named(file.name):
        os.pwrite(file.fileno(), data, place)
        os.fdatasync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of the file ``path``, all of it or nothing, with mode 600."""
    new = path.with_name(f"{path.name}.new")
    with _named(path):
        new.unlink(missing_ok=True)  # left by a crash, or put there: then neither its mode nor its readers are ours
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fdatasync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names of a folder's files survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Let an error say which file could not be written: the system's own does not."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
