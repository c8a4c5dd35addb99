"""One spelling for each value of a category, whichever file format it came in.

A level may be 1 in the study, ``"1"`` in a CSV file and 1.0 in a Parquet file; all are the text ``1``.
"""

from __future__ import annotations

import re

MISSING = frozenset({"", "NA", "NaN", "N/A", "null", "."})
"""What a cell of text says when it holds no value."""

_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)\.0")
_BOOLEANS = {"true", "false"}


def level_text(value: object) -> str:
    """The canonical text of a level: no surrounding space, 1.0 as ``1``, truth values as ``true``/``false``.

    Only a single ``.0`` is taken off, which is what pandas writes for whole numbers in a column with missing
    values: diagnosis codes such as ``250.00`` stay what they are, and so does ``01``.
    """
    text = str(value).strip()
    if text.lower() in _BOOLEANS:
        return text.lower()
    if _WHOLE.fullmatch(text):
        text = text.removesuffix(".0")
    return "0" if text == "-0" else text


def is_zero_one(levels: tuple[str, ...]) -> bool:
    """Whether these levels are the numbers 0 and 1, so that the column can be used as a number."""
    return levels == ("0", "1")
