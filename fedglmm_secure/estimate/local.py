"""What a site computes for itself once a fit is public: its report. It never leaves the site."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedglmm_secure.errors import PeerError
from fedglmm_secure.estimate.result import SITE_FORMAT
from fedglmm_secure.model.design import Design, Layout, Matrix
from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.model.groups import blocks
from fedglmm_secure.model.modes import conditional_modes, curvatures
from fedglmm_secure.model.units import Units
from fedglmm_secure.ring import Vector
from fedglmm_secure.study import Study


def local_report(study: Study, site: str, design: Design, sums: int, result_json: str) -> dict[str, object]:
    """A site's rows, its part in the sums, and the conditional modes of its own groups at the public estimates.

    A group's ``mode`` holds its random effects (lme4's ranef) and ``std_dev`` their spread given the data. Raises
    PeerError for a result that does not fit the study.
    """
    estimates = _estimates(study.layout, result_json)
    return {
        "format": SITE_FORMAT,
        "site": site,
        "study": {"id": study.study.id, "digest": study.hexdigest},
        "rows": design.rows,
        "rows_dropped": design.dropped,
        "sums_answered": sums,
        "groups": _modes(study.layout, design, estimates) if study.layout.terms else [],
    }


@dataclass(frozen=True)
class _Estimates:
    """The public estimates in the units of the table: beta of the kept columns, a root of the covariance, phi or 1."""

    columns: tuple[int, ...]
    beta: Vector
    root: Matrix
    phi: float


def _estimates(layout: Layout, result_json: str) -> _Estimates:
    q = len(layout.terms)
    try:
        result = json.loads(result_json)
        effects = {str(effect["name"]): float(effect["estimate"]) for effect in result["fixed_effects"]}
        random = result["random_effects"][0] if q else {"std_dev": [], "correlation": []}
        sd = np.array([float(value) for value in random["std_dev"][: q + 1]])
        correlation = np.array([[float(value) for value in row[: q + 1]] for row in random["correlation"][: q + 1]])
        phi = float(result["residual_std_dev"] or 1.0) if layout.family == "gaussian" else 1.0
        values, vectors = np.linalg.eigh(np.outer(sd, sd) * correlation.reshape(q, q))
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError, np.linalg.LinAlgError):
        raise PeerError("the coordinator's result is not one of this format; use the same version everywhere") from None
    numbers = [phi, *effects.values(), *values.tolist()]
    if not set(effects) <= set(layout.columns) or not all(map(math.isfinite, numbers)) or phi <= 0.0:
        raise PeerError("the coordinator's result does not fit the study's model; do not trust this coordinator")
    kept = tuple(i for i, name in enumerate(layout.columns) if name in effects)
    beta = np.array([effects[layout.columns[i]] for i in kept])
    return _Estimates(kept, beta, vectors * np.sqrt(np.maximum(values, 0.0)), phi)


def _modes(layout: Layout, design: Design, at: _Estimates) -> list[dict[str, Any]]:
    """Each group's random effects at the estimates: in the form of Design, all divided by phi first."""
    columns, beta = at.columns, at.beta / at.phi
    if layout.family == "gaussian":
        columns, beta = (*columns, len(layout.columns) - 1), np.append(beta, 1.0 / at.phi)
    family, root = FAMILIES[layout.family], at.root / at.phi
    rows: list[dict[str, Any]] = []
    for block in blocks(design, Units.of_table(layout, columns)):
        fixed, s = block.offset + block.x @ beta, block.z @ root
        v = conditional_modes(block, family, fixed, s)
        effects = v @ at.root.T
        covariance = at.root @ np.linalg.inv(curvatures(block, family, fixed, s, v)) @ at.root.T
        spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        names = design.group_names[block.groups]
        for name, size, mode, sd in zip(names, block.sizes.tolist(), effects.tolist(), spread.tolist(), strict=True):
            rows.append(
                {
                    "group": name,
                    "rows": size,
                    "mode": dict(zip(layout.terms, mode, strict=True)),
                    "std_dev": dict(zip(layout.terms, sd, strict=True)),
                }
            )
    return rows
