"""The command ``fedglmm-site``."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.errors import RefusalError
from fedglmm_secure.estimate.local import local_report
from fedglmm_secure.securesum import Site
from fedglmm_secure.study import Study, parse_table
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire.certificates import Trust, coordinator_trust, out_of_date, site_trusts
from fedglmm_secure.wire.identity import Identity, certificate_der
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.agent import Agent
from fedglmm_site.journal import Journal
from fedglmm_site.link import Link
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
    passphrase_file: shell.PassphraseFile = None,
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
    approved, own_policy = shell.read_study(study), read_policy(policy)
    identity = shell.read_identity(keys, passphrase_file)
    out.mkdir(parents=True, exist_ok=True)
    with Journal(out / "journal.jsonl") as journal:
        site = Site(terms_of(approved), identity.signing, own_policy, secrets.token_bytes, journal.records)
        pinned = _check_certificates(approved, site.name, identity)
        design = approved.design(parse_table(data.name, shell.read_bytes(data, "a table")), site.name, str(data))
        link = Link(coordinator, pinned=pinned, keys=keys, identity=identity, timeout=timeout, say=say)
        with contextlib.closing(link):
            finished = Agent(
                approved, SiteRows(approved, design, site.name), site, link=link, journal=journal, say=say
            ).run()
    (out / "result.json").write_text(finished.result_json, encoding="utf-8")
    report = local_report(approved, site.name, design, site.sums, finished.result_json)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if not quiet:
        print(f"{site.name}: {design.rows} rows used, {site.sums} sums answered; result, report and journal in {out}")


def main() -> None:
    """Run the command line."""
    shell.run(app, "fedglmm-site")


def _check_certificates(study: Study, name: str, identity: Identity) -> Trust:
    """By which certificate the coordinator is known, once this site's own is found to be the roster's and in date."""
    own = certificate_der(identity.certificate_pem)
    if not site_trusts(study)[name].knows(own):
        raise RefusalError(
            f"the certificate in --keys is not the one that the study's roster has for {name}; join with the keys "
            "whose public.toml is in the study"
        )
    if fault := out_of_date(own, datetime.now(UTC)):
        raise RefusalError(f"this site's certificate in --keys {fault}; renew it")
    return coordinator_trust(study)
