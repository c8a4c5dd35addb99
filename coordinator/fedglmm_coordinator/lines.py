"""Files to which lines are only appended, by one process after another."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Lines:
    """Such a file, in UTF-8."""

    def __init__(self, path: Path) -> None:
        """Open or make ``path``; a last line that a crash cut off is removed, so that the next one is whole."""
        self._path = path
        self._file = path.open("ab+", buffering=0)  # what a full disk did not take is not tried again at the end
        if not self._file.seekable():
            self._file.close()
            raise OSError(errno.ESPIPE, "it is a pipe, and no file", str(path))
        if self._file.tell():
            with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                whole = content.rfind(b"\n") + 1
            self._file.truncate(whole)

    def append(self, line: str) -> None:
        """Append ``line``, which ends with a line break; on a full disk nothing of it. OSError names the file."""
        rest, size = line.encode(), self._file.seek(0, os.SEEK_END)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(size)  # while the fit is done and sites are waited for, more lines come
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()
