"""What ``fedglmm-site check`` shows: a study's terms, this table under it, and all that would leave the site."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from fedglmm_secure.errors import FedglmmError
from fedglmm_secure.study import Study
from fedglmm_secure.study.agreement import used_variables
from fedglmm_secure.study.columns import read_codes, read_numbers, read_words
from fedglmm_secure.study.disclosure import Check, local_checks
from fedglmm_secure.wire.certificates import Trust, coordinator_trust, trust_of
from fedglmm_secure.wire.identity import Identity, certificate_der
from fedglmm_secure.wire.terms import max_sums, terms_of
from fedglmm_site.admission import SiteTable, read_frame, require_approval, site_of
from fedglmm_site.policy import Policy
from fedglmm_site.questions import PROTECTIONS, Possible, possible_questions, scheme_of
from fedglmm_site.register import Register

NAMELESS = "this-site"
"""A site that was not told its name: only the rows that it would draw for validation depend on it."""
_MOST_LEVELS = 6
_METHODS = {"laplace": "Laplace's approximation", "glm": "no random effects", "pql": "penalised quasi-likelihood"}
T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A column that the study uses."""

    name: str
    use: str
    type: str
    declared: str
    here: str
    """What the table holds: for this site's own eyes."""
    missing: int


@dataclass
class Preview:
    """All that a dry run shows, as far as study, keys and table allow."""

    terms: dict[str, str]
    warnings: list[str]
    questions: list[Possible]
    also_leaves: list[str]
    never_leaves: list[str]
    columns: list[Column] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Columns of the table that the study does not use."""
    rows: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    problems: list[FedglmmError] = field(default_factory=list)
    """Why ``join`` would be refused."""

    def attempt(self, step: Callable[[], T]) -> T | None:
        """The outcome of ``step``, or None with its error among the problems."""
        try:
            return step()
        except FedglmmError as error:
            if str(error) not in map(str, self.problems):
                self.problems.append(error)
            return None


@dataclass(frozen=True)
class Asker:
    """On whose behalf a dry run is made."""

    policy: Policy
    name: str | None = None
    """The site's name, where there are no keys to tell it."""
    keys: tuple[Path, Identity] | None = None
    """The folder with the site's keys, and the keys."""
    approval: Path | None = None


def make_preview(study: Study, path: Path, data: Path, asker: Asker) -> Preview:
    """The dry run of the study in the file ``path`` over the table ``data``; nothing is written or sent."""
    keys, policy = asker.keys, asker.policy
    shown = Preview({}, list(study.warnings()), [], [], [])
    if keys is None:
        shown.attempt(lambda: policy.check(study))
        shown.attempt(lambda: policy.for_sums().check(terms_of(study)))
        site = asker.name
    else:
        site = shown.attempt(lambda: site_of(study, keys[1], policy)) or asker.name
    shown.attempt(lambda: coordinator_trust(study))
    shown.terms = {**_terms(study, site, policy), "approved": _approved(study, path, site, asker)}
    site = site or NAMELESS
    shown.questions = list(possible_questions(study, site))
    shown.also_leaves, shown.never_leaves = _also_leaves(study, site), _never_leaves(study)
    _show_table(shown, study, data, site, asker)
    return shown


def _show_table(shown: Preview, study: Study, data: Path, site: str, asker: Asker) -> None:
    """Columns, rows, disclosure checks and the register, as far as the table can be read."""
    read = shown.attempt(lambda: read_frame(data))
    if read is None:
        return
    used = used_variables(study.model, study.formula)
    shown.unread = [str(column) for column in read[1].columns if column not in used]
    for name in used:
        if list(read[1].columns).count(name) == 1:
            values, where = pd.Series(read[1][name]), f"{data}: column {name}"
            column = shown.attempt(partial(_column, study, name, values, where))
            shown.columns += [column] if column is not None else []
    table = shown.attempt(lambda: SiteTable(*read, study.design(read[1], site, str(data))))
    if table is None:
        return
    shown.rows = {"in the table": len(table.frame), "used": table.design.rows, "left out": table.design.dropped}
    shown.checks = list(local_checks(asker.policy.tighten(study), table.design, site))
    shown.attempt(lambda: table.check(study, site, asker.policy))
    if asker.keys is not None:
        register = Register(asker.keys[0])
        past = shown.attempt(lambda: register.check(table.candidate(study), asker.policy))
        shown.terms["earlier studies"] = past or "too near to an earlier one"


def _terms(study: Study, site: str | None, policy: Policy) -> dict[str, str]:
    """The study in words."""
    model, security = study.model, study.security
    method = _METHODS.get(model.method, f"adaptive Gauss-Hermite quadrature with {model.nodes} nodes")
    names = [f"{entry.name} (this site)" if entry.name == site else entry.name for entry in study.sites]
    holder = _holder(trust_of(study.coordinator))
    own = ", ".join(f"{key} = {value}" for key, value in policy.demands().items())
    return {
        "study": f"{study.study.id}: {study.study.title}" if study.study.title else study.study.id,
        "digest": study.hexdigest,
        **_rehearsal(study),
        "model": f"{model.formula}  ({model.family}, {method})",
        "protection": f"{security.protocol}: each number of this site is {PROTECTIONS[scheme_of(study)]}",
        "coordinator": holder or "not named yet: the study has no certificate under [coordinator]",
        "sites": f"{len(names)}: {', '.join(names)}" if names else "none yet",
        "cohort": _cohort(study, max(security.minimum_sites, policy.minimum_sites)),
        "rounds": f"at most {max_sums(study)} sums (max_rounds = {model.max_rounds})",
        "site's policy": own or "none: what the study says holds",
    }


def _rehearsal(study: Study) -> dict[str, str]:
    original = study.study.rehearsal_of
    if original is None:
        return {}
    return {
        "rehearsal": f"of the study with digest {original}: NOT for real tables, as a site's own counts need not pass"
    }


def _approved(study: Study, path: Path, site: str | None, asker: Asker) -> str:
    keys = asker.keys
    if keys is None or site is None:
        return "not looked at: give --keys"
    try:
        require_approval(study, path, asker.approval, site, keys[1])
    except FedglmmError as error:
        return f"no: {error}"
    return "yes, with these keys"


def _holder(trust: Trust | None) -> str:
    if trust is None:
        return ""
    digest = hashlib.sha256(certificate_der(trust.pem)).hexdigest()
    if trust.name is None:
        return f"whoever holds the TLS key of the certificate with SHA-256 {digest}"
    return f"whoever has a certificate for {trust.name} from the authority whose certificate has SHA-256 {digest}"


def _cohort(study: Study, smallest: int) -> str:
    security = study.security
    if security.on_dropout == "wait" or security.dropouts == 0:
        return f"every sum is over all of these sites, and there are at least {smallest}, or this site refuses"
    return (
        f"up to {security.dropouts} sites that do not answer in time are left out, down to {smallest}: the coordinator "
        "can then subtract, and learn what a site that was left out contributed before"
    )


def _column(study: Study, name: str, values: pd.Series, where: str) -> Column:
    """A column as the study reads it; TableError for values that it cannot have."""
    variable = study.variables[name]
    if variable.type == "group":
        words = read_words(values, where)
        held = [word for word in words if word is not None]
        declared, here, missing = "any, private to the site", f"{len(set(held))} groups", len(words) - len(held)
    elif variable.levels is not None:
        codes = read_codes(values, variable, where)
        counts = [f"{level}: {int(np.sum(codes == code))}" for code, level in enumerate(variable.levels)]
        declared, here, missing = _some(variable.levels), _some(counts), int(np.sum(codes == -1))
    else:
        numbers = read_numbers(values, variable, where)
        found = numbers[~np.isnan(numbers)]
        low, high = variable.range or (-np.inf, np.inf)
        here = f"{found.min():g} to {found.max():g}" if found.size else "nothing"
        declared, missing = f"{low:g} to {high:g}", int(numbers.size - found.size)
    return Column(name, _use(study, name), variable.type, declared, here, missing)


def _use(study: Study, name: str) -> str:
    model = study.model
    uses = {
        "outcome": [study.formula.response],
        "covariate": study.plan.covariates,
        "group": [term.group for term in study.formula.random],
        "offset": [model.offset],
        "weights": [model.weights],
        "trials": [model.trials],
    }
    return ", ".join(use for use, names in uses.items() if name in names)


def _some(words: object) -> str:
    listed = list(words) if isinstance(words, (list, tuple)) else [words]
    more = f" and {len(listed) - _MOST_LEVELS} more" if len(listed) > _MOST_LEVELS else ""
    return ", ".join(map(str, listed[:_MOST_LEVELS])) + more


def _also_leaves(study: Study, site: str) -> list[str]:
    """What the coordinator learns beside the numbers."""
    hello = "the study's digest, two fresh random values (one a public key) and a signature"
    keys = (
        ["fresh public keys, signed, and shares of the keys to masks, sealed for each other site"]
        if scheme_of(study) == "masking with dropouts"
        else []
    )
    return [
        *keys,
        f"the site's name ({site}) and its TLS certificate, with every connection",
        f"at the start, {hello}",
        "which sum was answered last, when it asks for the next question",
        "the network address it connects from, when, how many bytes, and how long an answer takes to compute",
        "if it refuses or fails: that it does, and a sentence without anything from its table",
        "to the other sites, by the coordinator: what it said at the start, the pooled numbers of the first sum, the "
        "result",
    ]


def _never_leaves(study: Study) -> list[str]:
    """What stays, whatever is asked."""
    groups = [f"names of groups ({study.layout.group})"] if study.layout.group not in ("", "site") else []
    own = "the numbers above as this site alone has them" if study.security.protocol != "plain" else ""
    return [
        "any row of the table, and any column that the study does not use",
        *groups,
        *([own] if own else []),
        "what the sentence of an error says about the table",
        "private keys; the journal, the audit log, the register and the site's own report",
    ]
