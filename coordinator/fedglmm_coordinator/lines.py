"""Files to which lines are only appended, by one process after another."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TextIO


def open_lines(path: Path) -> TextIO:
    """Open or make a file for appending; a last line that a crash cut off is removed, so that the next one is whole."""
    with path.open("ab+") as file:
        if file.tell():
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                whole = content.rfind(b"\n") + 1
            file.truncate(whole)
    return path.open("a", encoding="utf-8")
