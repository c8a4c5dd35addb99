"""``fedglmm study``: look at a study file before anyone approves it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.study import Study

app = shell.make_app("Look at a study file before anyone approves it.")


@app.callback()
def _study() -> None:
    """Look at a study file before anyone approves it."""


@app.command()
def check(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")],
    debug: shell.Debug = False,
) -> None:
    """Validate a study file; print its digest, its model's columns, its sites and its terms.

    Two files with the same digest are the same study: comments, order and white space do not count.

    Example: fedglmm study check examples/indomethacin/study.toml
    """
    print(description(shell.read_study(study)))


METHODS = {"laplace": "Laplace", "glm": "no random effects", "pql": "penalised quasi-likelihood"}


def description(study: Study) -> str:
    """A study in plain words."""
    model, layout, security, disclosure = study.model, study.layout, study.security, study.disclosure
    method = METHODS.get(model.method, f"adaptive Gauss-Hermite, {model.nodes} nodes")
    parameters = len(layout.columns) + Pattern(layout.blocks).size + (model.method == "pql")
    numbers = 1 + parameters + parameters * (parameters + 1) // 2
    rows = (
        ("study", f"{study.study.id}: {study.study.title}" if study.study.title else study.study.id),
        ("digest", study.hexdigest),
        ("model", f"{model.formula}  ({model.family}, {method})"),
        ("fixed effects", ", ".join(layout.columns[: len(layout.columns) - (model.family == "gaussian")])),
        ("random effects", f"{', '.join(layout.terms)} by {layout.group}" if layout.terms else "none"),
        ("parameters", f"{parameters}; each sum of a fit after the first is {numbers} numbers"),
        ("sites", ", ".join(site.name for site in study.sites) or "none yet"),
        ("security", f"{security.protocol}, at least {security.minimum_sites} sites, {security.dropouts} dropouts"),
        (
            "disclosure",
            f"cells of at least {disclosure.minimum_cell} rows, "
            f"at most {disclosure.maximum_parameters_per_row:g} parameters a row",
        ),
    )
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    return "\n".join([*lines, *(f"warning: {sentence}" for sentence in study.warnings())])
