"""A study from what a Python user has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from fedglmm_secure.errors import InputError
from fedglmm_secure.study import Study

StudySource = Study | str | PathLike[str] | Mapping[str, Any]


def as_study(source: StudySource) -> Study:
    """A Study as it is, the one in the file that a path names, or that of a file's tables as a dictionary.

    InputError when it cannot be read or is not valid.
    """
    if isinstance(source, Study):
        return source
    if isinstance(source, Mapping):
        return Study.from_dict(source)
    if not isinstance(source, str | PathLike):
        raise InputError(
            f"a study is a Study, the path of a study file, or its tables as a dictionary, not {type(source).__name__}"
        )
    if "\n" in str(source):
        raise InputError("the text of a study is read with Study.parse(text); a path has no line breaks")
    try:
        text = Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{source}: cannot be read as a study file: {reason}") from None
    return Study.parse(text, str(source))


def check_frame(table: object, what: str) -> None:
    """Raise InputError unless ``table`` is a data frame."""
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"{what} is a pandas DataFrame, not {type(table).__name__}; read files with pandas first")
