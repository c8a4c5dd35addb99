"""The site's own policy file: what this site demands beyond the study. It can be stricter than the study, never looser.

Three keys say that something is accepted which is otherwise refused: ``allow_plain``, ``allow_rehearsals`` and
``repeated_studies``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.securesum import Policy as SumPolicy
from fedglmm_secure.securesum.session import SMALLEST_COHORT
from fedglmm_secure.study import Study
from fedglmm_secure.study.agreement import used_variables
from fedglmm_secure.study.problems import nearest
from fedglmm_secure.study.toml import read_toml
from fedglmm_secure.wire.terms import max_sums

Whole = Annotated[int, Strict()]
Protocol = Literal["masking", "paillier", "plain"]
Family = Literal["binomial", "poisson", "gaussian"]


class Policy(BaseModel):
    """A site's demands; what is None or left out is left to the study."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_plain: Annotated[bool, Strict()] = False
    """Whether sums without protection are accepted where the study names them."""
    allow_rehearsals: Annotated[bool, Strict()] = False
    """Whether a study marked as a rehearsal is accepted, in which a site's own counts need not pass."""
    minimum_sites: Annotated[Whole, Field(ge=SMALLEST_COHORT)] = SMALLEST_COHORT
    protocols: tuple[Protocol, ...] | None = None
    families: tuple[Family, ...] | None = None
    forbidden_columns: tuple[Annotated[str, Strict()], ...] = ()
    minimum_rows: Annotated[Whole, Field(ge=1)] | None = None
    minimum_cell: Annotated[Whole, Field(ge=1)] | None = None
    maximum_parameters_per_row: Annotated[float, Field(gt=0, le=1)] | None = None
    maximum_sums: Annotated[Whole, Field(ge=1)] | None = None
    """The most sums that a study may ask for in a run."""
    maximum_studies: Annotated[Whole, Field(ge=1)] | None = None
    """The most runs of studies that a table may take part in."""
    repeated_studies: Literal["refuse", "allow"] = "refuse"
    """Whether another study over nearly the same rows or sites is accepted."""

    def for_sums(self) -> SumPolicy:
        """What the secure sum's machine enforces by itself."""
        return SumPolicy(minimum_sites=self.minimum_sites, allow_plain=self.allow_plain)

    def check(self, study: Study) -> None:
        """Raise RefusalError for what the study says and this site does not accept."""
        protocol, family, sums = study.security.protocol, study.model.family, max_sums(study)
        if study.study.rehearsal_of is not None and not self.allow_rehearsals:
            raise RefusalError(
                "the study says that it is a rehearsal (study.rehearsal_of), in which a site's own counts need not "
                "pass, and this site's policy does not allow that; join the study itself, or set allow_rehearsals = "
                "true where the table is made up"
            )
        if self.protocols is not None and protocol not in self.protocols:
            raise _refusal(f"protocol = {protocol!r}", f"protocols = {list(self.protocols)}")
        if self.families is not None and family not in self.families:
            raise _refusal(f"family = {family!r}", f"families = {list(self.families)}")
        forbidden = [name for name in used_variables(study.model, study.formula) if name in self.forbidden_columns]
        if forbidden:
            raise _refusal(f"the column {forbidden[0]}", "forbidden_columns never lets it be used")
        if self.maximum_sums is not None and sums > self.maximum_sums:
            raise _refusal(f"up to {sums} sums (by model.max_rounds)", f"maximum_sums = {self.maximum_sums}")

    def tighten(self, study: Study) -> Study:
        """The study by whose disclosure limits this site judges: the stricter of the study's and its own.

        Only for checks: its digest is not that of the study.
        """
        limits = study.disclosure.model_dump()
        for key, stricter in (("minimum_rows", max), ("minimum_cell", max), ("maximum_parameters_per_row", min)):
            own = getattr(self, key)
            limits[key] = limits[key] if own is None else stricter(own, limits[key])
        same = limits == study.disclosure.model_dump()
        return study if same else study.model_copy(update={"disclosure": limits})

    def demands(self) -> dict[str, Any]:
        """The keys that differ from the default, for people to read."""
        return self.model_dump(exclude_defaults=True)


def read_policy(path: Path | None) -> Policy:
    """The policy in a TOML file, or the default; InputError names the key that is wrong, and what it may be."""
    if path is None:
        return Policy()
    text = shell.read_text(path, "a policy file")
    try:
        given = read_toml(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not given:  # what a full disk leaves of a file must not pass for a site without rules of its own
        raise InputError(f"{path}: holds no rule; write the site's rules into it, or leave out --policy")
    try:
        return Policy.model_validate(given)
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error)}") from None


_MEANING = {
    "allow_plain": "true or false",
    "allow_rehearsals": "true or false",
    "minimum_sites": f"a whole number of at least {SMALLEST_COHORT}",
    "protocols": 'a list of "masking", "paillier" and "plain"',
    "families": 'a list of "binomial", "poisson" and "gaussian"',
    "forbidden_columns": "a list of columns in quotes",
    "minimum_rows": "a whole number of at least 1",
    "minimum_cell": "a whole number of at least 1",
    "maximum_parameters_per_row": "a number above 0 and at most 1",
    "maximum_sums": "a whole number of at least 1",
    "maximum_studies": "a whole number of at least 1",
    "repeated_studies": '"refuse" or "allow"',
}
"""What each key must be."""


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = str(first["loc"][0])
    if key not in _MEANING:
        hint = nearest(key, _MEANING) or f"; use {', '.join(_MEANING)}"
        return f"unknown key {key[:60]!r}{hint}"
    return f"{key} must be {_MEANING[key]}, not {str(first['input'])[:60]!r}; correct it"


def _refusal(asked: str, limit: str) -> RefusalError:
    return RefusalError(
        f"the study asks for {asked} and this site's policy says no ({limit}); have the study changed, or the policy"
    )
