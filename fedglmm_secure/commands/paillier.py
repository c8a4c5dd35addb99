"""``fedglmm paillier``: the dealer ceremony of threshold Paillier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.choices import LEGACY_PAILLIER_BITS as LEGACY_BITS
from fedglmm_secure.choices import PAILLIER_BITS as BITS

app = shell.make_app("The dealer ceremony of threshold Paillier.")


@app.callback()
def _paillier() -> None:
    """Make the key under which sums are encrypted."""


@app.command()
def deal(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study, with every site's keys.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the study and the shares.")],
    bits: Annotated[int, typer.Option(help=f"Bits of the key: {BITS}, or {LEGACY_BITS} as a legacy option.")] = BITS,
    debug: shell.Debug = False,
) -> None:
    """Make a Paillier key for a study and split it, one share a site. Run it offline, in front of witnesses.

    DIR then holds study.toml, with the public key in it, and NAME.share for each site, which only that site's
    encryption.key opens. More than half of the sites together can decrypt; fewer learn nothing. The key itself is not
    kept.

    \b
    Example:
      fedglmm paillier deal study.toml --out dealt
    """
    from fedglmm_secure.commands import dealing  # noqa: PLC0415  loads pandas, for the study's formula

    dealing.deal(study, out, bits)
