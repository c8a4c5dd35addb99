"""A study from what a Python user has at hand."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from fedglmm_secure.errors import InputError
from fedglmm_secure.study import Study

StudySource = Study | str | PathLike[str]


def as_study(source: StudySource) -> Study:
    """A Study as it is, or the one in the file that a path names; InputError when it cannot be read."""
    if isinstance(source, Study):
        return source
    try:
        text = Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{source}: cannot be read as a study file: {reason}") from None
    return Study.parse(text, str(source))
