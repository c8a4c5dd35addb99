"""The cells that disclosure control counts: each level of the outcome and of the categorical covariates.

An outcome that counts successes out of trials has the cells of its trials, as if each were a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from scipy.sparse import csr_array, hstack

from fedglmm_secure.ring import Vector
from fedglmm_secure.study.schema import Variable


def cell_names(
    response: str, trials: str | None, covariates: Iterable[str], variables: Mapping[str, Variable]
) -> tuple[str, ...]:
    """Plain words for each cell, such as ``gender = 2_male``, the outcome's first."""
    outcome = (f"{response} = success", f"{response} = failure") if trials else ()
    levels = ((name, level) for name in (response, *covariates) for level in variables[name].levels or ())
    return (*outcome, *(f"{name} = {level}" for name, level in levels))


def cells(
    response: str,
    trials: str | None,
    covariates: Iterable[str],
    variables: Mapping[str, Variable],
    values: Mapping[str, Vector],
) -> csr_array:
    """How often each row of ``values`` counts in each of ``cell_names``, shape (rows, cells)."""
    rows = np.arange(values[response].size)
    parts = [csr_array((rows.size, 0))]
    if trials:
        parts.append(csr_array(np.column_stack([values[response], values[trials] - values[response]])))
    for name in (response, *covariates):
        levels = variables[name].levels
        if levels is not None:
            places = (rows, values[name].astype(np.intp))
            parts.append(csr_array((np.ones(rows.size), places), shape=(rows.size, len(levels))))
    return hstack(parts, format="csr")
