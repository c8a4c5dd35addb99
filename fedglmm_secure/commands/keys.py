"""``fedglmm keys``: a site's or a coordinator's identity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell

app = shell.make_app("A site's or a coordinator's identity.")


@app.callback()
def _keys() -> None:
    """Make the keys that a study names its parties by."""


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go; made if it is not there.")],
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Encrypt the private keys; asks twice.")] = False,
    passphrase_file: shell.PassphraseFile = None,
    debug: shell.Debug = False,
) -> None:
    """Make a signing key, an encryption key, a TLS key and its certificate.

    DIR/public.toml is what the study's author needs; everything else in DIR stays with you. With --passphrase the
    private keys are encrypted, and every program that uses them asks for it, or reads --passphrase-file, or
    the file that FEDGLMM_PASSPHRASE_FILE names, or FEDGLMM_PASSPHRASE.

    \b
    Example:
      fedglmm keys new ~/fedglmm-keys --passphrase
    """
    from fedglmm_secure.wire import identity  # noqa: PLC0415  loads numpy and cryptography

    protected = passphrase or passphrase_file is not None
    shell.write_identity(folder, identity.generate(shell.new_passphrase(passphrase_file) if protected else None))
    print(
        f"keys written to {folder}; give {folder / identity.PUBLIC} to the study's author and keep the rest to yourself"
    )
