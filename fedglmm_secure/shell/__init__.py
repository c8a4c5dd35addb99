"""What the three command lines share."""

from fedglmm_secure.shell.files import (
    SHARE,
    read_bytes,
    read_identity,
    read_share,
    read_study,
    read_text,
    write_identity,
    write_share,
)
from fedglmm_secure.shell.program import INTERRUPTED, Debug, Say, make_app, progress_line, run, speaker

__all__ = [
    "INTERRUPTED",
    "SHARE",
    "Debug",
    "Say",
    "make_app",
    "progress_line",
    "read_bytes",
    "read_identity",
    "read_share",
    "read_study",
    "read_text",
    "run",
    "speaker",
    "write_identity",
    "write_share",
]
