"""TOML from others: a study that is proposed, a key share that was sent. Whatever it is, it is read or refused."""

from __future__ import annotations

import tomllib
from typing import Any

from fedglmm_secure.errors import InputError

MAX_CHARACTERS = 1_000_000
"""255 certificates and keys are well below 1 MB; what is larger is no study and no share."""

MAX_DOTS = 256
"""In one line. A key of n dotted parts takes n^2 memory to read, and a list of 200 numbers has 200 dots."""


def read_toml(text: str) -> dict[str, Any]:
    """The tables in ``text``; InputError, to follow the file's name, says what is wrong and what to do."""
    if len(text) > MAX_CHARACTERS:
        raise InputError("is too large for a study or key file; check that it is the right file")
    if any(line.count(".") > MAX_DOTS for line in text.split("\n")):
        raise InputError(f"has a line with more than {MAX_DOTS} dots; break it, or check that it is the right file")
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"is not valid TOML: {error}; correct that line") from None
    except ValueError:  # Python reads no whole number of more than 4300 digits
        raise InputError("has a number of too many digits; correct it") from None
