"""``fedglmm report``: the page of a result, and of what a site keeps for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with a result.json, a site's report.json, or both.")
    ],
    debug: shell.Debug = False,
) -> None:
    """Write a result as a page for people.

    DIR/report.html is made from DIR/result.json.

    The page holds the model, the estimates with a forest plot, how the fit converged and how the sums were protected.
    It is one file without scripts that asks nothing of any network: read it in a browser, print it, send it on.

    In the folder that a site keeps, DIR/site-report.html shows the conditional modes of the site's own groups, from
    DIR/report.json. That page is for the site alone.

    \b
    Example:
      fedglmm report run1
    """
    result, own = folder / "result.json", folder / "report.json"
    if not (result.exists() or own.exists()):
        raise InputError(
            f"{folder}: holds neither a result.json nor a site's report.json; give the --out folder of a rehearsal, "
            "a coordinator or a site"
        )
    from fedglmm_secure.report import read_result, read_site_report, result_page, site_page  # noqa: PLC0415  matplotlib

    if result.exists():
        fit = read_result(shell.read_text(result, "a result"), str(result))
        _write(folder / "report.html", result_page(fit))
    if own.exists():
        kept = read_site_report(shell.read_text(own, "a site's report"), str(own))
        _write(folder / "site-report.html", site_page(kept))


def _write(path: Path, page: str) -> None:
    path.write_text(page, encoding="utf-8")
    print(f"report: {path}")
