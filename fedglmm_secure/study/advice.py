"""Warnings about a study that is valid but may not be what its authors want."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.questions import Describe
from fedglmm_secure.securesum.paillier import BITS, PublicKey, plaintexts_for, smallest_threshold
from fedglmm_secure.study.agreement import used_variables
from fedglmm_secure.study.schema import Coordinator, Site

if TYPE_CHECKING:
    from fedglmm_secure.study.study import Study

PAILLIER_NUMBERS = 1000
"""Numbers a sum beyond which Paillier is slow enough to say so."""
SECONDS_A_CIPHERTEXT = 0.1
"""About what one costs a site at 3072 bits: its r^N and its partial decryption (docs/adr/0017)."""


def warnings(study: Study) -> Iterator[str]:
    """One sentence for each."""
    listed, minimum = len(study.sites), study.security.minimum_sites
    if listed < minimum:
        yield (
            f"sites: the roster lists {listed}, fewer than security.minimum_sites = {minimum}; "
            "sites will refuse to take part until more are added"
        )
    if minimum == 2:
        yield (
            "security.minimum_sites: with 2, whoever knows one site's contribution reads the other's from the sum; "
            "every site must know that before it approves"
        )
    yield from _protection(study)
    if (study.model.family, study.model.method) == ("gaussian", "agh"):
        yield 'model.method: the gaussian likelihood is exact with "laplace"; "agh" gives the same with more work'
    for name in study.variables:
        levels = len(study.variables[name].levels or ())
        if levels > study.disclosure.maximum_levels:
            yield (
                f"variables.{name}.levels: {levels} are more than disclosure.maximum_levels = "
                f"{study.disclosure.maximum_levels}; sites will refuse to take part"
            )
    used = used_variables(study.model, study.formula)
    unused = [name for name in study.variables if name not in used]
    if unused:
        yield f"variables: {_are(unused)} declared but not used in the model"
    without = [site.name for site in study.sites if site.public_key is None or not _has_certificate(site)]
    if without:
        yield (
            f"sites: {_are(without)} without a public_key or certificate; "
            "add them with `fedglmm study add-site` before a real fit"
        )
    elif listed and not _has_certificate(study.coordinator):
        yield ("coordinator: has no certificate; add it with `fedglmm study set-coordinator` before a real fit")


def _protection(study: Study) -> Iterator[str]:
    """What the protocol means for the sites, and costs."""
    if study.security.protocol == "plain":
        yield "security.protocol: plain shows the coordinator every site's numbers; it is for rehearsal only"
    if study.security.protocol == "paillier" and study.paillier is None:
        yield "paillier: no key is dealt yet; run `fedglmm paillier deal` when the roster is complete"
    if study.security.protocol == "paillier" and (numbers := _largest_sum(study)) > PAILLIER_NUMBERS:
        seconds = SECONDS_A_CIPHERTEXT * plaintexts_for(numbers, BITS)
        yield (
            f"security.protocol: paillier takes about {seconds:.0f} seconds a sum at each site for this model's "
            f"{numbers} numbers; masking takes milliseconds"
        )
    most = _most_dropouts(study)
    if study.sites and study.security.dropouts > most:
        yield (
            f"security.dropouts: {study.security.dropouts} are more than {len(study.sites)} sites can lose and "
            f"still open a sum, which is {most}; sites will refuse to take part"
        )
    if study.security.on_dropout == "exclude":
        yield (
            "security.on_dropout: exclude lets the coordinator subtract sums with and without a site that is left out, "
            "and so learn what that site contributed; every site must know that before it approves"
        )
    if study.paillier is not None and PublicKey.from_hex(study.paillier.modulus).bits < BITS:
        yield f"paillier.modulus: is shorter than {BITS} bits, a legacy option; deal the key again for a new study"


def _most_dropouts(study: Study) -> int:
    """How many sites of the roster may be lost, by what the protocol needs to open a sum and by the cohort."""
    listed, security = len(study.sites), study.security
    needed = {"masking": 2 * listed // 3 + 1, "paillier": smallest_threshold(listed)}.get(security.protocol, 0)
    return max(0, listed - max(needed, security.minimum_sites))


def _largest_sum(study: Study) -> int:
    """The most numbers that a sum of this study has, the count of contributors included."""
    layout = study.layout
    parameters = len(layout.columns) + Pattern(layout.blocks).size + (study.model.method == "pql")
    return 1 + max(len(Describe().slots(layout)), 1 + parameters + parameters * (parameters + 1) // 2)


def _has_certificate(party: Site | Coordinator) -> bool:
    return party.certificate is not None or party.certificate_authority is not None


def _are(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
