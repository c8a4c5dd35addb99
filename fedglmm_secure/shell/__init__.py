"""What the three command lines share."""

from fedglmm_secure.shell.files import (
    SHARE,
    read_bytes,
    read_identity,
    read_share,
    read_study,
    read_text,
    replace_text,
    write_identity,
    write_share,
)
from fedglmm_secure.shell.passphrase import PassphraseFile, new_passphrase
from fedglmm_secure.shell.program import INTERRUPTED, Debug, Say, make_app, progress_line, run, speaker

__all__ = [
    "INTERRUPTED",
    "SHARE",
    "Debug",
    "PassphraseFile",
    "Say",
    "make_app",
    "new_passphrase",
    "progress_line",
    "read_bytes",
    "read_identity",
    "read_share",
    "read_study",
    "read_text",
    "replace_text",
    "run",
    "speaker",
    "write_identity",
    "write_share",
]
