"""HOST:PORT, as both programs take it."""

from __future__ import annotations

import re

from fedglmm_secure.errors import InputError

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]]+):([0-9]{1,5})")


def parse_address(option: str, text: str, example: str, *, lowest: int) -> tuple[str, int]:
    """Host, without the brackets of an IPv6 address, and port; InputError naming the ``option`` for anything else."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not lowest <= int(match[2]) <= 65535:
        raise InputError(
            f"{option} {text} is not HOST:PORT; use for example {example}, with an IPv6 address in brackets and a port "
            "of at most 65535"
        )
    return match[1].strip("[]"), int(match[2])
