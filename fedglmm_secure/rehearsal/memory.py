"""A whole federated fit in one process: the sites' machines, the coordinator's, and every message as bytes.

Sites check, compute, mask and refuse as they do in their own programs; each message is encoded and decoded as it would
be for gRPC (``network``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import pandas as pd

from fedglmm_secure.errors import FedglmmError, InputError
from fedglmm_secure.estimate import FitResult
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.estimate.local import local_report
from fedglmm_secure.estimate.newton import Report
from fedglmm_secure.exchange import Conductor, Party
from fedglmm_secure.rehearsal.hostile import HostileNetwork
from fedglmm_secure.rehearsal.network import Keep, Network, SiteAtHand
from fedglmm_secure.rehearsal.source import StudySource, as_study, check_frame
from fedglmm_secure.rehearsal.weather import Weather
from fedglmm_secure.securesum import JournalRecord, Policy, Seed, SigningIdentity, Site
from fedglmm_secure.securesum.paillier import BITS, KeyShare
from fedglmm_secure.securesum.seed import SEED_BYTES
from fedglmm_secure.study import DividableDesign, Study
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.identity import Identity
from fedglmm_secure.wire.key_share import deal_key
from fedglmm_secure.wire.messages import Finished
from fedglmm_secure.wire.terms import terms_of


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal leaves: the result, the study as it was run, and what each party kept."""

    result: FitResult
    study: Study
    """The study with throw-away identities, and the protocol that was used."""
    transcript: tuple[tuple[str, bytes], ...]
    """Every message that the coordinator received: the site and the bytes."""
    reports: Mapping[str, dict[str, object]] = field(repr=False)
    """Each site's local report."""
    journals: Mapping[str, tuple[JournalRecord, ...]] = field(repr=False)
    """Each site's journal."""
    audits: Mapping[str, Callable[[], Mapping[str, bytes]]] = field(repr=False)
    """What gives the files of each site's audit log, made when asked for."""
    weather: str | None = None
    """What a bad network did, and what came of it, when there was one."""


def rehearse(
    study: StudySource,
    tables: Mapping[str, pd.DataFrame],
    *,
    protocol: str | None = None,
    report: Report = lambda _: None,
) -> FitResult:
    """Fit a study to the tables of simulated sites, in this process, with every contribution protected.

    ``tables`` maps each site of the roster to its rows; ``protocol`` replaces the study's; ``report`` is called with
    a TraceRow after each sum. Raises InputError for a study or a table that is wrong, RefusalError when a site
    refuses, FitError when there is no answer.
    """
    return rehearse_in_memory(study, tables, protocol=protocol, report=report).result


def rehearse_in_memory(
    study: StudySource,
    tables: Mapping[str, pd.DataFrame],
    *,
    protocol: str | None = None,
    report: Report = lambda _: None,
    weather: Weather | None = None,
) -> Rehearsal:
    """As ``rehearse``, with everything that the parties kept.

    Under a ``weather`` the study is fitted twice: undisturbed, and over a network that loses, delays, doubles, damages
    and replays messages and kills sites. The answers must be the same to the last bit, or FedglmmError is raised.
    """
    given = as_study(study)
    check_tables(given, tables)
    for name, table in tables.items():
        check_frame(table, f"the table of {name}")
    identities = {name: identity.generate() for name in tables}
    study, shares = rehearsal_copy(given, identities, protocol)
    designs = {name: study.design(tables[name], name, name) for name in tables}

    def sites() -> dict[str, SiteAtHand]:
        return {
            name: site_at_hand(study, designs[name], name, own.signing, shares.get(name))
            for name, own in identities.items()
        }

    if weather is None:
        fitted, sentence = _fit(study, sites(), report, Network), None
    else:
        calm = _fit(study, sites(), lambda _: None, Network)
        fitted = _fit(study, sites(), report, partial(HostileNetwork, weather=weather))
        sentence = _through_weather(weather, calm, fitted)
    network = fitted.network
    return Rehearsal(
        fitted.result,
        study,
        tuple(network.transcript),
        {
            name: local_report(study, name, designs[name], site.machine.sums, fitted.finished.result_json)
            for name, site in network.sites.items()
        },
        {name: tuple(site.journal) for name, site in network.sites.items()},
        {
            name: partial(site.trail.files, study, name, identities[name].signing)
            for name, site in network.sites.items()
        },
        sentence,
    )


@dataclass(frozen=True)
class _Fitted:
    """One fit that came to its end."""

    network: Network
    finished: Finished
    result: FitResult
    answer: str
    """The result as JSON without times and bytes, which differ from run to run."""


def _fit(
    study: Study,
    sites: Mapping[str, SiteAtHand],
    report: Report,
    network_of: Callable[[Conductor, Mapping[str, SiteAtHand]], Network],
) -> _Fitted:
    """Fit once, over whichever network."""
    began = perf_counter()
    results: list[FitResult] = []

    def keep(result: FitResult) -> str:
        results.extend([result, result.secured(study.security.protocol, network.bytes_sent(), perf_counter() - began)])
        return results[1].to_json()

    network = network_of(
        Conductor(study, lambda: estimator(study, report), randomness=secrets.token_bytes, keep=keep), sites
    )
    finished = network.run()
    return _Fitted(network, finished, results[1], results[0].to_json())


def _through_weather(weather: Weather, calm: _Fitted, fitted: _Fitted) -> str:
    """What happened, and what came of it; FedglmmError when the same sites gave another answer."""
    network = fitted.network
    assert isinstance(network, HostileNetwork)  # noqa: S101  made so above
    left_out = sorted(set(network.sites) - set(network.conductor.cohort))
    if left_out:
        came_of_it = f"left out, as the study allows: {', '.join(left_out)}; the answer is that of the other sites"
    elif fitted.answer == calm.answer:
        came_of_it = "the answer is the same as without, to the last bit"
    else:
        raise FedglmmError(
            f"the answer under weather {weather.seed} is not the undisturbed one ({network.summary}); report this fault"
        )
    return f"weather {weather.seed}: {network.summary}; {came_of_it}"


def site_at_hand(
    study: Study, design: DividableDesign, name: str, signing: SigningIdentity, share: KeyShare | None = None
) -> SiteAtHand:
    """A simulated site: the user's own, so that plain sums are allowed once the user names them."""
    terms, policy = terms_of(study), Policy(allow_plain=True)

    def machine(seed: Seed) -> Site:
        return Site(terms, signing, policy, seed, randomness=secrets.token_bytes, share=share)

    def party(site: Site, keep: Keep) -> Party:
        return Party(study, SiteRows(study, design, name), site, keep)

    return SiteAtHand(name, Seed(secrets.token_bytes(SEED_BYTES)), machine, party)


def check_tables(study: Study, tables: Mapping[str, object]) -> None:
    """Raise InputError unless there is one table for each site of the roster."""
    if not isinstance(tables, Mapping):
        raise InputError(f"tables is a mapping from site to table, not {type(tables).__name__}")
    roster = [site.name for site in study.sites]
    missing = sorted(set(roster) - set(tables))
    unknown = sorted(set(tables) - set(roster))
    if missing or unknown:
        wrong = " and ".join(
            [f"no table for {', '.join(missing)}"] * bool(missing)
            + [f"a table for {', '.join(unknown)}, which the study does not have"] * bool(unknown)
        )
        sites = ", ".join(roster) or "none yet, add them with `fedglmm study add-site`"
        raise InputError(f"there is {wrong}; give one table for each of the study's sites: {sites}")


def rehearsal_copy(
    study: Study,
    identities: Mapping[str, Identity],
    protocol: str | None,
    coordinator_certificate: str | None = None,
) -> tuple[Study, Mapping[str, KeyShare]]:
    """The study with throw-away identities, marked as a rehearsal of the one given, and each site's key share, if any.

    A Paillier key is dealt for it, as its sites' identities are new.
    """
    if protocol not in (None, "masking", "paillier", "plain"):
        raise InputError(f"there is no protocol {protocol!r}; use masking, paillier or plain")
    copy = study.replaced(
        protocol=protocol,  # type: ignore[arg-type]
        identities={name: (own.public_key, own.certificate) for name, own in identities.items()},
        encryption_keys={name: own.encryption_key for name, own in identities.items() if own.encryption_key},
        coordinator_certificate=coordinator_certificate,
        rehearsal_of=study.hexdigest,
    )
    if copy.security.protocol == "paillier":
        dealing = deal_key(copy, BITS, secrets.token_bytes)
        return dealing.study, dealing.shares
    return copy, {}
