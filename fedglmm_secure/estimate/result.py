"""What a fit gives: numbers under the names of interface and R, as a frozen value with its JSON form."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

FORMAT = "fedglmm-result/1"

SITE_FORMAT = "fedglmm-site-report/1"
"""Of what a site computes for itself (``local``)."""


@dataclass(frozen=True)
class StudyName:
    """Which study: ``digest`` is the hexadecimal SHA-256 of the study file's canonical form."""

    id: str
    title: str
    digest: str
    rehearsal: bool


@dataclass(frozen=True)
class ModelName:
    """Which model was fitted, and how."""

    formula: str
    family: str
    method: str
    nodes: int
    penalty: float
    offset: str | None = None
    weights: str | None = None
    trials: str | None = None


@dataclass(frozen=True)
class FixedEffect:
    """One coefficient in the units of the table, with its Wald z test and 95% interval."""

    name: str
    estimate: float
    std_error: float
    z: float
    p_value: float
    ci_lower: float
    ci_upper: float


@dataclass(frozen=True)
class Ratio:
    """exp of one coefficient and of its 95% interval: an odds ratio (binomial) or a rate ratio (Poisson).

    None for a number too large for a float.
    """

    name: str
    ratio: float | None
    ci_lower: float | None
    ci_upper: float | None


@dataclass(frozen=True)
class PathPoint:
    """One fit of a path of penalties. ``error`` says why there is none; all else is then None."""

    penalty: float
    log_likelihood: float | None = None
    effective_parameters: float | None = None
    aic: float | None = None
    bic: float | None = None
    validation_log_likelihood: float | None = None
    estimates: dict[str, float] | None = None
    std_dev: tuple[float, ...] | None = None
    error: str | None = None


@dataclass(frozen=True)
class RandomEffect:
    """The random terms of one grouping variable. A standard error is None where the estimate lies on the boundary."""

    group: str
    terms: tuple[str, ...]
    std_dev: tuple[float, ...]
    std_error: tuple[float | None, ...]
    """Of the standard deviations."""
    correlation: tuple[tuple[float, ...], ...]
    correlation_std_error: tuple[tuple[float | None, ...], ...]
    """None also for what is not estimated: the diagonal, and terms that are uncorrelated by the formula."""


@dataclass(frozen=True)
class Security:
    """How the sums were protected and what they cost. Bytes are filled in by the program that carried them."""

    protocol: str
    dropouts: int
    minimum_sites: int
    sums: int
    numbers_per_sum: tuple[int, ...]
    bytes_sent_by_site: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TraceRow:
    """One sum of a fit: shown while it runs and kept in the result."""

    sum: int
    question: str
    numbers: int
    log_likelihood: float | None = None
    decrement: float | None = None
    """Half the squared Newton step in the metric of the Hessian: the log-likelihood still to be gained, about."""


@dataclass(frozen=True)
class FitResult:
    """A converged fit. Nothing in it belongs to one site, the roster's names and the bytes it sent excepted."""

    study: StudyName
    model: ModelName
    converged: bool
    singular: bool
    warnings: tuple[str, ...]
    n_rows: int
    n_rows_dropped: int
    n_groups: dict[str, int]
    n_sites: int
    fixed_effects: tuple[FixedEffect, ...]
    fixed_effects_covariance: tuple[tuple[float, ...], ...]
    ratios: tuple[Ratio, ...]
    random_effects: tuple[RandomEffect, ...]
    residual_std_dev: float | None
    residual_std_error: float | None
    """Of the residual standard deviation."""
    log_likelihood: float | None
    """None where the method has none (penalised quasi-likelihood)."""
    aic: float | None
    bic: float | None
    n_parameters: int
    effective_parameters: float
    """n_parameters without a penalty, fewer with one."""
    selection: str | None
    """By what the penalty was chosen from ``path``, None for a single fit."""
    path: tuple[PathPoint, ...]
    gradient_norm: float
    """Length of the gradient at the estimate, in standardised parameters."""
    security: Security
    trace: tuple[TraceRow, ...]
    seconds: dict[str, float]

    def secured(self, protocol: str, bytes_sent_by_site: dict[str, int], seconds: float) -> FitResult:
        """The same fit with what only the program that ran it knows."""
        security = replace(
            self.security, protocol=protocol, bytes_sent_by_site=dict(sorted(bytes_sent_by_site.items()))
        )
        return replace(self, security=security, seconds={"total": seconds})

    def without(self, excluded: tuple[str, ...], sums: int) -> FitResult:
        """The same fit, which began again after ``sums`` sums over the sites that were not ``excluded``."""
        names = ", ".join(excluded)
        sentence = (
            f"left out, as the study allows, for not answering in time: {names}; the fit is over the other sites, and "
            f"was begun again after sum {sums}"
        )
        trace = tuple(replace(row, sum=row.sum + sums) for row in self.trace)
        security = replace(self.security, sums=self.security.sums + sums)
        return replace(
            self,
            n_sites=self.n_sites - len(excluded),
            warnings=(sentence, *self.warnings),
            security=security,
            trace=trace,
        )

    def summary(self) -> str:
        """A text like that of R's ``summary``."""
        from fedglmm_secure.estimate.summary import summary  # noqa: PLC0415  the table's layout is its own concern

        return summary(self)

    def to_dict(self) -> dict[str, Any]:
        """The content of result.json."""
        return {"format": FORMAT, **asdict(self)}

    def to_json(self) -> str:
        """result.json: every float in full precision."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
