"""The tables of a study file, validated: types, bounds and what one table can check on its own.

Values are brought into canonical form here (levels as text, ranges as floats, keys re-encoded, sites by
name), so that two files that mean the same give equal studies. What several tables must agree on is in
``agreement``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from fedglmm_secure.choices import VariableType
from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum.paillier import weakness
from fedglmm_secure.study.problems import problem
from fedglmm_secure.study.roster import decode_public_key, encode_public_key
from fedglmm_secure.study.values import MISSING, level_text

Number = TypeVar("Number", int, float)

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Site names and study identifiers become file names and log entries."""

COUNT_RANGE = (0.0, 10_000.0)
MAX_LEVELS = 200
SMALLEST_MODULUS, LARGEST_MODULUS = 2048, 4096
"""Bits: below is not secure, above only slow."""
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE-----\n")


def _between(low: float, high: float) -> Callable[[Number], Number]:
    def check(value: Number) -> Number:
        if not low <= value <= high:
            raise problem(f"must be between {low:g} and {high:g}, not {value:g}")
        return value

    return check


def _safe_name(value: str) -> str:
    if not NAME_PATTERN.fullmatch(value):
        raise problem(
            "must be 1 to 64 letters, digits, dots, dashes or underscores, starting with a letter or digit, "
            f"not {value!r}"
        )
    return value


def _short_line(value: str) -> str:
    value = " ".join(value.split())
    if not value.isprintable() or len(value) > 2000:
        raise problem("must be at most 2000 printable characters")
    return value


def _digest(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise problem("must be a study's digest: 64 hexadecimal digits in lower case")
    return value


def _public_key(value: str) -> str:
    try:
        return encode_public_key(decode_public_key(value))
    except InputError as error:
        raise problem(str(error)) from None


def _certificate(value: str) -> str:
    lines = [line.strip() for line in value.strip().splitlines()]
    text = "\n".join(line for line in lines if line) + "\n"
    if len(text) > 10_000 or not _PEM.fullmatch(text):
        raise problem("must be one PEM certificate, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----")
    return text


def _modulus(value: str) -> str:
    text = "".join(value.split()).lower().lstrip("0")
    readable = len(text) <= LARGEST_MODULUS // 4 and re.fullmatch("[0-9a-f]+", text)
    bits = int(text, 16).bit_length() if readable else 0
    if not SMALLEST_MODULUS <= bits <= LARGEST_MODULUS or int(text, 16) % 2 == 0:
        raise problem(
            f"must be an odd number of {SMALLEST_MODULUS} to {LARGEST_MODULUS} bits in hexadecimal; "
            "make it with `fedglmm paillier deal`"
        )
    if weak := weakness(int(text, 16)):
        raise problem(f"{weak}, so that anybody could decrypt; deal the key again with `fedglmm paillier deal`")
    return text


def _host_name(value: str) -> str:
    name = value.strip().lower()
    if len(name) > 253 or not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", name):
        raise problem(f"must be a host's name without wildcards, such as fit.example.org, not {value[:60]!r}")
    return name


def _levels(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise problem('must be a list of levels, such as ["no", "yes"]')
    if len(value) > MAX_LEVELS:
        raise problem(f"must be at most {MAX_LEVELS} levels, not {len(value)}")
    for level in value:
        if not isinstance(level, (str, int, float)) or (isinstance(level, float) and not math.isfinite(level)):
            raise problem(f"must hold text or numbers, not {level!r}")
        text = level_text(level)
        if text in MISSING:
            raise problem(f"must not hold {level!r}, which means a missing value in a table; use another word")
        if len(text) > 100 or not text.isprintable():
            raise problem("must hold at most 100 printable characters a level")
    levels = tuple(level_text(level) for level in value)
    twice = [level for level in dict.fromkeys(levels) if levels.count(level) > 1]
    if twice:
        raise problem(f'holds `{twice[0]}` twice (0, 0.0 and "0" are the same level); remove one')
    if len(levels) > MAX_LEVELS:
        raise problem(f"must hold at most {MAX_LEVELS} levels, not {len(levels)}; merge the rare ones")
    return levels


def _range(value: object) -> tuple[float, float]:
    plain = isinstance(value, (list, tuple)) and len(value) == 2
    ends = value if plain and isinstance(value, (list, tuple)) else ()
    if not ends or any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in ends):
        raise problem("must be two numbers, such as [18, 100]")
    low, high = float(ends[0]), float(ends[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise problem(f"must be finite and rise from low to high, not [{low:g}, {high:g}]")
    return low, high


def _penalty(value: object) -> float | tuple[float, ...]:
    path = value if isinstance(value, (list, tuple)) else (value,)
    for weight in path:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
            raise problem(f"must be a number of at least 0, or a list of them, not {weight!r}")
    if not path:
        raise problem("must not be an empty list")
    return tuple(map(float, path)) if isinstance(value, (list, tuple)) else float(path[0])


SafeName = Annotated[str, AfterValidator(_safe_name)]
Line = Annotated[str, AfterValidator(_short_line)]
Whole = Annotated[int, Strict()]
Real = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Certificate = Annotated[str, AfterValidator(_certificate)]
HostName = Annotated[str, AfterValidator(_host_name)]
Levels = Annotated[tuple[str, ...], BeforeValidator(_levels)]
Range = Annotated[tuple[float, float], BeforeValidator(_range)]


class Table(BaseModel):
    """A table of the study file: immutable, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Header(Table):
    """``[study]``: what the study is called."""

    id: SafeName
    title: Line = ""
    rehearsal_of: Annotated[str, AfterValidator(_digest)] | None = None
    """Digest of the study of which this is a rehearsal's copy, with throw-away identities."""


class Model(Table):
    """``[model]``: what is estimated, and how."""

    formula: Line
    family: Literal["binomial", "poisson", "gaussian"]
    method: Literal["laplace", "agh", "glm", "pql"] = "laplace"
    nodes: Annotated[Whole, AfterValidator(_between(1, 50))]
    offset: Line | None = None
    weights: Line | None = None
    trials: Line | None = None
    penalty: Annotated[float | tuple[float, ...], BeforeValidator(_penalty)] = 0.0
    selection: Literal["aic", "bic", "validation"] | None = None
    """How one penalty of a list is chosen; None for a single penalty."""
    max_rounds: Annotated[Whole, AfterValidator(_between(1, 1000))] = 50
    tolerance: Annotated[Real, AfterValidator(_between(1e-14, 1e-2))] = 1e-10

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        defaults: dict[str, object] = {"nodes": 9 if data.get("method") == "agh" else 1}
        if isinstance(data.get("penalty"), (list, tuple)):
            defaults["selection"] = "aic"
        return data | {key: value for key, value in defaults.items() if data.get(key) is None}

    @model_validator(mode="after")
    def _keys_fit(self) -> Model:
        if self.method != "agh" and self.nodes != 1:
            raise problem(f'must be 1 with method = "{self.method}"; use method = "agh" for more nodes', "nodes")
        if self.selection is not None and not isinstance(self.penalty, tuple):
            raise problem("chooses from a list of penalties, such as penalty = [0, 1, 10]; remove it", "selection")
        return self


class Validation(Table):
    """``[validation]``: the rows by which a penalty is chosen."""

    fraction: Annotated[Real, AfterValidator(_between(0.01, 0.9))] = 0.3
    seed: Annotated[Whole, AfterValidator(_between(0, 2**63 - 1))] = 1


class Variable(Table):
    """``[variables.NAME]``: what a column may hold. Declared, because no site sees the others' data."""

    type: VariableType
    levels: Levels | None = None
    range: Range | None = None
    shared: Annotated[bool, Strict()] = False

    @model_validator(mode="before")
    @classmethod
    def _default_range(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("type") == "count" and data.get("range") is None:
            return {**data, "range": COUNT_RANGE}
        return data

    @model_validator(mode="after")
    def _keys_fit_type(self) -> Variable:
        discrete = self.type in ("binary", "categorical")
        if discrete and self.levels is None:
            raise problem(f'is missing; a {self.type} variable needs its levels, such as ["no", "yes"]', "levels")
        if self.type == "binary" and len(self.levels or ()) != 2:
            raise problem(f"must be exactly 2 for a binary variable, not {len(self.levels or ())}", "levels")
        if self.type == "categorical" and len(self.levels or ()) < 2:
            raise problem("must be at least 2 for a categorical variable", "levels")
        if self.type == "numeric" and self.range is None:
            raise problem(
                "is missing; write range = [low, high]: it fixes the scale of the sums at every site", "range"
            )
        if self.type == "count" and self.range is not None and self.range[0] < 0:
            raise problem("must not be negative for a count", "range")
        self._refuse_foreign_keys(discrete)
        return self

    def _refuse_foreign_keys(self, discrete: bool) -> None:
        if self.levels is not None and not discrete and not self.shared:
            raise problem(f'belongs to binary and categorical variables, not to type = "{self.type}"', "levels")
        if self.range is not None and self.type not in ("numeric", "count"):
            raise problem(f'belongs to numeric and count variables, not to type = "{self.type}"', "range")
        if self.shared and self.type != "group":
            raise problem(f'belongs to group variables, not to type = "{self.type}"', "shared")


class Security(Table):
    """``[security]``: how sums are protected."""

    protocol: Literal["masking", "paillier", "plain"] = "masking"
    dropouts: Annotated[Whole, AfterValidator(_between(0, 254))] = 0
    on_dropout: Literal["wait", "exclude"] = "wait"
    minimum_sites: Annotated[Whole, AfterValidator(_between(2, 255))] = 3


class Paillier(Table):
    """``[paillier]``: the key that sums are encrypted under, as ``fedglmm paillier deal`` writes it."""

    modulus: Annotated[str, AfterValidator(_modulus)]
    """Hexadecimal, in lower case."""
    threshold: Annotated[Whole, AfterValidator(_between(2, 255))]
    """How many sites it takes to decrypt."""


class Disclosure(Table):
    """``[disclosure]``: what every site enforces before anything is fitted. The defaults are DataSHIELD's."""

    minimum_cell: Annotated[Whole, AfterValidator(_between(1, 1_000_000))] = 3
    minimum_rows: Annotated[Whole, AfterValidator(_between(1, 1_000_000_000))] = 3
    maximum_parameters_per_row: Annotated[Real, AfterValidator(_between(1e-6, 1))] = 0.33
    maximum_levels: Annotated[Whole, AfterValidator(_between(2, MAX_LEVELS))] = 40
    maximum_levels_per_row: Annotated[Real, AfterValidator(_between(1e-6, 1))] = 0.33
    few_groups: Literal["refuse", "allow"] = "refuse"
    """Whether a linear mixed model may be fitted to so few groups that its sums determine each group's averages."""


class Coordinator(Table):
    """``[coordinator]``: by which certificate the sites know the coordinator."""

    certificate: Certificate | None = None
    certificate_authority: Certificate | None = None
    certificate_name: HostName | None = None

    @model_validator(mode="after")
    def _known_in_one_way(self) -> Coordinator:
        _check_certificate_keys(self.certificate, self.certificate_authority, self.certificate_name)
        return self


class Site(Table):
    """``[[sites]]``: one entry of the roster."""

    name: SafeName
    public_key: Annotated[str, AfterValidator(_public_key)] | None = None
    encryption_key: Annotated[str, AfterValidator(_public_key)] | None = None
    certificate: Certificate | None = None
    """The site's own certificate, pinned."""
    certificate_authority: Certificate | None = None
    """Instead: the authority (CA) that issues the site's certificates, for ``certificate_name`` alone."""
    certificate_name: HostName | None = None

    @model_validator(mode="after")
    def _known_in_one_way(self) -> Site:
        _check_certificate_keys(self.certificate, self.certificate_authority, self.certificate_name)
        return self


def _check_certificate_keys(certificate: str | None, authority: str | None, name: str | None) -> None:
    if authority is not None and certificate is not None:
        raise problem("stands beside certificate; keep one of the two", "certificate_authority")
    if authority is not None and name is None:
        raise problem("is missing; write the name that the authority's certificate for it has", "certificate_name")
    if name is not None and authority is None:
        raise problem("belongs to certificate_authority; add that, or remove it", "certificate_name")
