"""``fedglmm compare``: the likelihood-ratio test of two nested fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError

if TYPE_CHECKING:
    from fedglmm_secure.estimate.comparison import Comparison


def compare(
    first: Annotated[Path, typer.Argument(metavar="DIR1", help="A folder with a result.json, or the file itself.")],
    second: Annotated[Path, typer.Argument(metavar="DIR2", help="Another, of a model nested in it or around it.")],
    debug: shell.Debug = False,
) -> None:
    """Likelihood-ratio test of two nested fits to the same rows.

    The order does not matter. Where the smaller model sets one variance to zero, which is the edge of what a variance
    can be, the p-value comes from the 50:50 mixture of two chi-square distributions (Self and Liang 1987).

    Between hospitals the two fits are two studies over the same patients, which each site's steward has to allow
    (repeated_studies in the site's policy).

    \b
    Example:
      fedglmm compare run-without-age run-with-age
    """
    results = _result(first), _result(second)
    from fedglmm_secure.estimate.comparison import compare_results  # noqa: PLC0415  loads pandas and scipy

    print(table(compare_results(*results)))


def table(comparison: Comparison) -> str:
    """The test laid out as by R's ``anova``."""
    header = f"{'npar':>4} {'AIC':>10} {'BIC':>10} {'logLik':>12} {'Chisq':>9} {'Df':>3} {'Pr(>Chisq)':>11}"
    smaller, larger = comparison.smaller, comparison.larger
    rows = [
        f"{fit['n_parameters']:>4} {fit['aic']:>10.2f} {fit['bic']:>10.2f} {fit['log_likelihood']:>12.5f}"
        for fit in (smaller, larger)
    ]
    rows[1] += f" {comparison.statistic:>9.4f} {comparison.degrees:>3} {comparison.p_value:>11.5g}"
    lines = [f"{name}: {fit['model']['formula']}" for name, fit in (("1", smaller), ("2", larger))]
    lines += ["", f"  {header}", *(f"{i} {row}" for i, row in enumerate(rows, 1))]
    if comparison.on_boundary:
        lines += ["", f"p-value: mixture of chi-square({comparison.degrees - 1}) and chi-square({comparison.degrees}),"]
        lines[-1] += " as a variance is zero in the smaller model"
    return "\n".join(lines)


def _result(path: Path) -> dict[str, Any]:
    file = path / "result.json" if path.is_dir() else path
    try:
        content = json.loads(shell.read_text(file, "a result"))
    except ValueError:
        raise InputError(f"{file}: is not JSON; give the folder of a rehearsal, or its result.json") from None
    if not isinstance(content, dict) or content.get("format") != "fedglmm-result/1":
        raise InputError(f"{file}: is not a result of fedglmm; give the folder of a rehearsal, or its result.json")
    return content
