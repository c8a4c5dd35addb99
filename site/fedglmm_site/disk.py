"""Files that only their owner may read, and that survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def open_private(path: Path, *, appending: bool = True) -> BinaryIO:
    """Open or make a file of mode 600: read from its beginning, and ``appending`` written to at its end."""
    flags = os.O_RDWR | os.O_CREAT | (os.O_APPEND if appending else 0)
    return os.fdopen(os.open(path, flags, 0o600), "r+b")


def append(file: BinaryIO, data: bytes) -> None:
    """Return when ``data`` is on disk at the end of ``file``."""
    file.write(data)
    file.flush()
    os.fdatasync(file.fileno())


def overwrite(file: BinaryIO, place: int, data: bytes) -> None:
    """Return when ``data`` is on disk from byte ``place`` on; ``file`` is not one that is only appended to."""
    os.pwrite(file.fileno(), data, place)
    os.fdatasync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of the file ``path``, all of it or nothing, with mode 600."""
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
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
