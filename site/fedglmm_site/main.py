"""The command ``fedglmm-site``."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.estimate.local import local_report
from fedglmm_secure.study import Study, parse_table
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire.identity import Identity, certificate_der
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.link import Link
from fedglmm_site.participation import Participation
from fedglmm_site.policy import read_policy

app = shell.make_app("Take part in a study with this site's own table, which stays here.")


@app.callback()
def _program() -> None:
    """Take part in a study with this site's own table, which stays here."""


@app.command()
def join(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file that this site approved.")],
    data: Annotated[Path, typer.Option(metavar="TABLE", help="This site's table, .csv or .parquet.")],
    keys: Annotated[Path, typer.Option(metavar="DIR", help="Folder with this site's keys.")],
    coordinator: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the coordinator listens.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the journal and the local report.")] = Path(
        "fedglmm-site"
    ),
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="This site's own policy (TOML).")] = None,
    share: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="This site's Paillier key share [default: paillier.share in --keys]."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds without the coordinator before it gives up.")] = 3600.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No output but errors.")] = False,
    debug: shell.Debug = False,
) -> None:
    """Join a study's fit and answer its questions until the result is there.

    Everything is checked before the first byte leaves: the study, the policy, the keys and the table. The connection
    goes out from here; no port is opened.

    Example: fedglmm-site join study.toml --data patients.csv --keys keys --coordinator fit.example.org:7443
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say = shell.speaker(quiet=quiet)
    approved, identity, own_policy = shell.read_study(study), shell.read_identity(keys), read_policy(policy)
    terms = terms_of(approved)
    own_policy.check(terms)
    name = terms.name_of(identity.signing.public_bytes)
    pinned = _check_certificates(approved, study, name, identity)
    out.mkdir(parents=True, exist_ok=True)
    design = approved.design(parse_table(data.name, shell.read_bytes(data, "a table")), name, str(data))
    own_share = shell.read_share(share or keys / shell.SHARE, identity, approved) if approved.paillier else None
    participation = Participation(
        approved, SiteRows(approved, design, name), identity.signing, own_policy, secrets.token_bytes, own_share
    )
    link = Link(coordinator, pinned=pinned, keys=keys, timeout=timeout, say=say)
    with contextlib.closing(link):
        finished, sums = participation.take_part(out, link, say)
    (out / "result.json").write_text(finished.result_json, encoding="utf-8")
    report = local_report(approved, name, design, sums, finished.result_json)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if not quiet:
        print(f"{name}: {design.rows} rows used, {sums} sums answered; result, report and journal in {out}")


def main() -> None:
    """Run the command line."""
    shell.run(app, "fedglmm-site")


def _check_certificates(study: Study, path: Path, name: str, identity: Identity) -> str:
    """The coordinator's pinned certificate, once this site's own is found to be the roster's."""
    if study.coordinator.certificate is None:
        raise InputError(f"{path}: has no coordinator certificate; the study's author adds it under [coordinator]")
    own = next(site.certificate for site in study.sites if site.name == name)
    if own is None or certificate_der(own) != certificate_der(identity.certificate_pem):
        raise RefusalError(
            f"the certificate in --keys is not the one that the study's roster has for {name}; join with the keys "
            "whose public.toml is in the study"
        )
    return study.coordinator.certificate
