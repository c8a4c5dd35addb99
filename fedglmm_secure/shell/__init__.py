"""What the three command lines share.

Which command it is, its help and the faults of its options need only what is imported here. What reads keys and studies
is imported on first use, with the libraries that it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedglmm_secure.lazy import handing_on
from fedglmm_secure.shell.address import parse_address
from fedglmm_secure.shell.files import read_bytes, read_file, read_text, refuse_other_result, replace_text
from fedglmm_secure.shell.passphrase import PassphraseFile, new_passphrase
from fedglmm_secure.shell.program import (
    INTERRUPTED,
    LONGEST,
    Debug,
    Say,
    Version,
    make_app,
    progress_line,
    run,
    speaker,
)

if TYPE_CHECKING:
    from fedglmm_secure.shell.keys import read_identity, write_identity
    from fedglmm_secure.shell.study import SHARE, read_share, read_study, write_share

__all__ = [
    "INTERRUPTED",
    "LONGEST",
    "SHARE",
    "Debug",
    "PassphraseFile",
    "Say",
    "Version",
    "make_app",
    "new_passphrase",
    "parse_address",
    "progress_line",
    "read_bytes",
    "read_file",
    "read_identity",
    "read_share",
    "read_study",
    "read_text",
    "refuse_other_result",
    "replace_text",
    "run",
    "speaker",
    "write_identity",
    "write_share",
]

__getattr__ = handing_on(
    __name__,
    {
        "SHARE": "fedglmm_secure.shell.study",
        "read_identity": "fedglmm_secure.shell.keys",
        "read_share": "fedglmm_secure.shell.study",
        "read_study": "fedglmm_secure.shell.study",
        "write_identity": "fedglmm_secure.shell.keys",
        "write_share": "fedglmm_secure.shell.study",
    },
)


def __dir__() -> list[str]:
    return __all__
