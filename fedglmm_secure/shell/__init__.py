"""What the three command lines share."""

from fedglmm_secure.shell.address import parse_address
from fedglmm_secure.shell.files import (
    SHARE,
    read_bytes,
    read_identity,
    read_share,
    read_study,
    read_text,
    refuse_other_result,
    replace_text,
    write_identity,
    write_share,
)
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
