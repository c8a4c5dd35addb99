"""``fedglmm keys``: a site's or a coordinator's identity."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError
from fedglmm_secure.wire import identity

app = shell.make_app("A site's or a coordinator's identity.")


@app.callback()
def _keys() -> None:
    """Make the keys that a study names its parties by."""


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go; made if it is not there.")],
    debug: shell.Debug = False,
) -> None:
    """Make a signing key, a TLS key and its certificate.

    DIR/public.toml is what the study's author needs; everything else in DIR stays with you.

    Example: fedglmm keys new ~/fedglmm-keys
    """
    write_keys(folder, identity.generate())
    print(f"keys written to {folder}; give {folder / identity.PUBLIC} to the study's author and keep the rest to yourself")


def write_keys(folder: Path, own: identity.Identity) -> None:
    """Write an identity's files, private keys readable by their owner only; InputError rather than replace one."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    taken = [name for name in own.files() if (folder / name).exists()]
    if taken:
        raise InputError(f"{folder} already holds {taken[0]}; keys are never replaced, so choose another folder")
    for name, content in own.files().items():
        mode = 0o600 if name in identity.PRIVATE_FILES else 0o644
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
