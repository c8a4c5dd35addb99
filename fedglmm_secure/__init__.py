"""fedglmm-secure: generalized linear mixed models across hospitals whose patients' data never move.

    >>> import fedglmm_secure as fs
    >>> fit = fs.rehearse("study.toml", {"north": north, "south": south, "west": west})
    >>> print(fit.summary())

``rehearse`` fits a study to the tables of simulated sites, every contribution protected; ``fit_pooled`` fits the same
model to one table. ``Study`` is a validated study file, ``FitResult`` what a fit gives. Where a study is asked for, the
path of a study file does, and so do its tables as a dictionary. What goes wrong raises one sentence, a class of
``fedglmm_secure.errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedglmm_secure.lazy import handing_on

if TYPE_CHECKING:
    from fedglmm_secure.estimate import FitResult
    from fedglmm_secure.rehearsal import fit_pooled, rehearse
    from fedglmm_secure.study import Study

__all__ = ["FitResult", "Study", "fit_pooled", "rehearse"]

__getattr__ = handing_on(
    __name__,
    {
        "FitResult": "fedglmm_secure.estimate",
        "Study": "fedglmm_secure.study",
        "fit_pooled": "fedglmm_secure.rehearsal",
        "rehearse": "fedglmm_secure.rehearsal",
    },
)


def __dir__() -> list[str]:
    return __all__
