"""What a site computes for itself once a fit is public: its report. It never leaves the site."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedglmm_secure.errors import PeerError
from fedglmm_secure.model.design import Design, Layout
from fedglmm_secure.model.family import FAMILIES
from fedglmm_secure.model.groups import blocks
from fedglmm_secure.model.modes import conditional_modes, curvatures
from fedglmm_secure.ring import Vector
from fedglmm_secure.study import Study

FORMAT = "fedglmm-site-report/1"


def local_report(study: Study, site: str, design: Design, sums: int, result_json: str) -> dict[str, object]:
    """A site's rows, its part in the sums, and the conditional modes of its own groups at the public estimates.

    A group's ``mode`` is its random effect on the scale of the linear predictor (lme4's ranef) and ``std_dev`` the
    spread of the effect given the data. Raises PeerError for a result that does not fit the study.
    """
    effects, sigma = _estimates(study.layout, result_json)
    return {
        "format": FORMAT,
        "site": site,
        "study": {"id": study.study.id, "digest": study.hexdigest},
        "rows": design.rows,
        "rows_dropped": design.dropped,
        "sums_answered": sums,
        "groups": _modes(study.layout, design, effects, sigma),
    }


def _estimates(layout: Layout, result_json: str) -> tuple[Mapping[str, float], float]:
    try:
        result = json.loads(result_json)
        effects = {str(effect["name"]): float(effect["estimate"]) for effect in result["fixed_effects"]}
        sigma = float(result["random_effects"][0]["std_dev"][0])
    except (ValueError, KeyError, IndexError, TypeError):
        raise PeerError("the coordinator's result is not one of this format; use the same version everywhere") from None
    if not set(effects) <= set(layout.columns) or not all(map(math.isfinite, [sigma, *effects.values()])):
        raise PeerError("the coordinator's result does not fit the study's model; do not trust this coordinator")
    return effects, sigma


def _modes(layout: Layout, design: Design, effects: Mapping[str, float], sigma: float) -> list[dict[str, Any]]:
    family = FAMILIES[layout.family]
    kept = [i for i, name in enumerate(layout.columns) if name in effects]
    beta: Vector = np.array([effects[layout.columns[i]] for i in kept])
    rows: list[dict[str, Any]] = []
    for block in blocks(design, kept, np.zeros(len(kept)), np.ones(len(kept))):
        fixed = block.offset + block.x @ beta
        v = conditional_modes(block, family, fixed, sigma)
        spread = sigma / np.sqrt(curvatures(block, family, fixed, sigma, v))
        names = design.group_names[block.groups]
        for name, size, mode, sd in zip(
            names, block.sizes.tolist(), (sigma * v).tolist(), spread.tolist(), strict=True
        ):
            rows.append({"group": name, "rows": size, "mode": mode, "std_dev": sd})
    return rows
