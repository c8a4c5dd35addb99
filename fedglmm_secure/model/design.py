"""The design of a model: what the study fixes for every site (Layout) and one site's rows as arrays (Design)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fedglmm_secure.ring import Vector

Matrix = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

INTERCEPT = "Intercept"
"""The name of the constant column, and of the constant random term."""


@dataclass(frozen=True)
class Layout:
    """What the study alone determines, so that it is the same at every site and at the coordinator.

    ``centre`` and ``half`` come from the declared ranges: (x - centre) / half lies in about [-1, 1] for every column,
    which is what makes the bound of the fixed-point sums hold by construction.
    """

    columns: tuple[str, ...]
    """Names of the fixed effects, in order (p of them). For the Gaussian family the last one is the response itself."""
    centre: tuple[float, ...]
    half: tuple[float, ...]
    intercept: int | None
    """Position of the constant column, None for a model without one."""
    group: str
    """The grouping variable of the random terms, empty for a model without any."""
    terms: tuple[str, ...]
    """Names of the random terms within ``group`` (q of them)."""
    blocks: tuple[int, ...]
    """How many consecutive terms are correlated: (2,) for (1 + x | g), (1, 1) for (1 | g) + (0 + x | g)."""
    z_centre: tuple[float, ...]
    """Mid-range of each random term over the declared ranges where it is correlated with an intercept, else 0."""
    z_half: tuple[float, ...]
    """Largest magnitude of each random term, less its ``z_centre``, over the declared ranges."""
    levels: tuple[str, ...]
    """Plain words for each cell that disclosure control counts, such as ``gender = 2_male``."""
    family: str

    @cached_property
    def intercept_of(self) -> tuple[int | None, ...]:
        """For each random term the position of the intercept that it is correlated with, None where there is none.

        Such an intercept takes up whatever is subtracted from the term; subtracted from another term it would change
        the model.
        """
        result: list[int | None] = []
        for size in self.blocks:
            block = range(len(result), len(result) + size)
            intercept = next((term for term in block if self.terms[term] == INTERCEPT), None)
            result += [None if term == intercept else intercept for term in block]
        return tuple(result)

    def z_to_table(self, z_centre: Vector) -> Matrix:
        """The matrix T (q, q) by which a group's effects of the terms as written are T times those of z - z_centre.

        b_0 + b_1 (z - c) = (b_0 - c b_1) + b_1 z: T is 1 but for -c in the row of the term's intercept.
        """
        result = np.eye(len(self.terms))
        for term, intercept in enumerate(self.intercept_of):
            if intercept is not None:
                result[intercept, term] = -z_centre[term]
        return result


@dataclass(frozen=True)
class Design:
    """One site's complete rows, sorted by group: n rows, G groups, p fixed effects, q random terms.

    Never leaves the site. ``x`` is in the units of the table. For the Gaussian family with residual standard deviation
    phi the last column of x is minus the response, so that its coefficient 1 / phi makes y / phi - x' (beta / phi) a
    standard normal residual (Olsen 1978, Econometrica 46:1211): y and offset are then 0.
    """

    x: Matrix
    """Fixed-effects design, shape (n, p)."""
    z: Matrix
    """Random-effects design, in the units of the table, shape (n, q)."""
    y: Vector
    """The response: 0/1 or the share of successes for the binomial family, a count, or 0 for the Gaussian (below)."""
    offset: Vector
    weights: Vector
    """Prior weights, times the number of trials."""
    constant: float
    """What the log-density has that no parameter enters, summed over rows: log binomial coefficients, -log y!, ..."""
    starts: Index
    """First row of each group, shape (G,); empty when there are no rows."""
    group_names: tuple[str, ...]
    level_counts: Vector
    """Rows in each of ``Layout.levels``."""
    dropped: int
    """Rows left out because a used variable was missing."""

    @property
    def rows(self) -> int:
        """Number of complete rows, n."""
        return int(self.x.shape[0])

    @property
    def groups(self) -> int:
        """Number of groups, G."""
        return int(self.starts.shape[0])

    @cached_property
    def sizes(self) -> Index:
        """Rows of each group, shape (G,)."""
        return np.diff(np.append(self.starts, self.rows))

    @cached_property
    def group_of_row(self) -> Index:
        """Position of each row's group, shape (n,)."""
        return np.repeat(np.arange(self.groups), self.sizes)

    def __repr__(self) -> str:
        return "Design(<private>)"
