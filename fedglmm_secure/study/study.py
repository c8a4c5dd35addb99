"""The study: the one document that every site reads and approves before anything leaves its building."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

import pandas as pd
import tomli_w
from pydantic import Field, ValidationError, field_validator, model_validator

from fedglmm_secure.errors import InputError
from fedglmm_secure.model.design import Layout
from fedglmm_secure.study import advice, roster, rows
from fedglmm_secure.study.agreement import check_model, check_paillier, check_roster, check_variables
from fedglmm_secure.study.availability import check_available
from fedglmm_secure.study.digest import study_digest
from fedglmm_secure.study.formula import Formula, parse_formula, without_spaces
from fedglmm_secure.study.plan import Plan, make_plan
from fedglmm_secure.study.problems import sentence_of
from fedglmm_secure.study.schema import (
    Coordinator,
    Disclosure,
    Header,
    Model,
    Paillier,
    Security,
    Site,
    Table,
    Validation,
    Variable,
)
from fedglmm_secure.study.split import DividableDesign, split
from fedglmm_secure.study.toml import read_toml

BYTE_ORDER_MARK = "\ufeff"
"""What some editors of Windows put before a text; it means nothing in UTF-8."""


class Study(Table):
    """A valid study: one that exists has columns that can be built.

    Made by ``Study.parse`` from the text of a study file, or by ``Study.from_dict`` from its tables as a dictionary.
    """

    study: Header
    model: Model
    variables: dict[str, Variable]
    validation: Validation | None = None
    security: Security = Security()
    paillier: Paillier | None = None
    disclosure: Disclosure = Disclosure()
    coordinator: Coordinator = Coordinator()
    sites: tuple[Site, ...] = Field(default=())

    @field_validator("sites")
    @classmethod
    def _by_name(cls, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        return tuple(sorted(sites, key=lambda site: site.name))

    @model_validator(mode="before")
    @classmethod
    def _default_validation(cls, data: Any) -> Any:
        model = data.get("model") if isinstance(data, dict) else None
        if isinstance(model, dict) and model.get("selection") == "validation" and data.get("validation") is None:
            return {**data, "validation": {}}
        return data

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        check_available(self)
        check_model(self.model, self.formula, self.validation)
        check_variables(self.model, self.formula, self.variables)
        check_roster(self.sites)
        check_paillier(self.security, self.paillier, self.sites)
        _ = self.layout
        return self

    @classmethod
    def parse(cls, text: str, source: str = "the study") -> Study:
        """The study in the TOML ``text`` of the file ``source``; InputError names file, key and remedy."""
        try:
            data = read_toml(text.removeprefix(BYTE_ORDER_MARK))
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        return cls.from_dict(data, source)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "the study") -> Study:
        """The study in the tables ``data``, from ``source``; raises InputError as ``parse`` does."""
        if not isinstance(data, Mapping):
            raise InputError(f"{source}: is a dictionary of tables, such as study and model, not {type(data).__name__}")
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise InputError(f"{source}: {sentence_of(error, cls)}") from None
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    @cached_property
    def formula(self) -> Formula:
        """The formula in its parts."""
        return parse_formula(self.model.formula)

    @cached_property
    def plan(self) -> Plan:
        """The design columns, from the declarations alone."""
        return make_plan(self.model, self.formula, self.variables)

    @property
    def layout(self) -> Layout:
        """What the study fixes about the design: the same at every site and at the coordinator."""
        return self.plan.layout

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the study's canonical form: 32 bytes; see ``fedglmm_secure.study.digest``."""
        fields = self.model_dump()
        fields["model"]["formula"] = without_spaces(self.model.formula)
        return study_digest(fields)

    @property
    def hexdigest(self) -> str:
        """The digest as 64 hexadecimal digits."""
        return self.digest.hex()

    def roster(self) -> tuple[tuple[str, bytes], ...]:
        """Name and Ed25519 public key of every site, by name; InputError names the sites without a key."""
        return roster.keys(self.sites)

    def encryption_keys(self) -> tuple[tuple[str, bytes], ...]:
        """Name and X25519 public key of every site, by name; InputError names the sites without one."""
        return roster.encryption_keys(self.sites)

    def warnings(self) -> tuple[str, ...]:
        """A sentence for each thing that is allowed but may not be meant."""
        return tuple(advice.warnings(self))

    def design(self, frame: pd.DataFrame, site: str, source: str) -> DividableDesign:
        """The design of one site's table; TableError names ``source``, the column and what is wrong."""
        return rows.site_design(self.plan, frame, site, source)

    def pooled_design(self, frame: pd.DataFrame, source: str) -> DividableDesign:
        """The design of several sites' rows, with their names in a column ``site``, for reference fits.

        With ``(1 | site)`` that column is required. Other groups are nested in it where it is present: equal
        values at two sites are two groups. Raises TableError as ``design`` does.
        """
        return rows.pooled_design(self.plan, frame, source)

    def split(self, design: DividableDesign, site: str) -> tuple[DividableDesign, DividableDesign]:
        """The rows of ``site`` to fit with and those to validate by; see ``fedglmm_secure.study.split``."""
        if self.validation is None:
            raise InputError('model.selection: must be "validation" for rows to be set aside; change the study')
        return split(design, self.validation.fraction, self.validation.seed, self.study.id, site)

    def to_toml(self) -> str:
        """The study file that parses to this study, defaults written out."""
        data = self.model_dump(exclude_none=True)
        kept = {key: table for key, table in data.items() if table}
        return tomli_w.dumps(kept, multiline_strings=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Study:
        """A validated copy with other tables: neither an invalid study nor a stale digest can come of it."""
        return Study.from_dict({**self.model_dump(), **(update or {})}, f"study {self.study.id}")

    def replaced(
        self,
        *,
        protocol: Literal["masking", "paillier", "plain"] | None = None,
        identities: Mapping[str, tuple[str | None, str | None]] | None = None,
        encryption_keys: Mapping[str, str] | None = None,
        coordinator_certificate: str | None = None,
        rehearsal_of: str | None = None,
    ) -> Study:
        """A copy with another protocol, with keys and certificates of sites, or marked as a rehearsal.

        ``identities`` maps a site's name to its public key and certificate, ``encryption_keys`` to its encryption
        key; a name that is not in the roster yet is added to it. What is not given stays, but for what belongs to
        what it replaces: a site's encryption key to its identity, the Paillier key to its protocol. Raises
        InputError as ``parse`` does.
        """
        data = self.model_dump()
        if protocol is not None:
            data["security"]["protocol"] = protocol
            data["paillier"] = data["paillier"] if protocol == "paillier" else None
        if coordinator_certificate is not None:
            data["coordinator"] = {"certificate": coordinator_certificate}
        if rehearsal_of is not None:
            data["study"]["rehearsal_of"] = rehearsal_of
        entries = {site["name"]: site for site in data["sites"]}
        for name, (public_key, certificate) in (identities or {}).items():
            entries[name] = {"name": name, "public_key": public_key, "certificate": certificate}
        for name, encryption_key in (encryption_keys or {}).items():
            entries[name] = {**entries.get(name, {"name": name}), "encryption_key": encryption_key}
        data["sites"] = list(entries.values())
        return self.model_copy(update=data)
