"""``fedglmm study``: write a study file, and look at it before anyone approves it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.study import Study, edit, parse_table
from fedglmm_secure.study.disclosure import parameters as parameters_of
from fedglmm_secure.study.draft import Request
from fedglmm_secure.study.draft import draft as make_draft
from fedglmm_secure.study.proposal import TYPES, parse_type
from fedglmm_secure.wire import identity

app = shell.make_app("Write a study file, and look at it before anyone approves it.")

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]
PublicFile = Annotated[Path, typer.Argument(metavar="DIR/public.toml", help="What `fedglmm keys new` wrote for it.")]


@app.callback()
def _study() -> None:
    """Write a study file, and look at it before anyone approves it."""


class Family(StrEnum):
    """The distribution of the outcome."""

    BINOMIAL = "binomial"
    POISSON = "poisson"
    GAUSSIAN = "gaussian"


@app.command()
def draft(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="One site's own table, .csv or .parquet.")],
    formula: Annotated[str, typer.Option(help='Such as "outcome ~ age + rx + (1 | site)".')],
    family: Annotated[Family | None, typer.Option(help="Of the outcome; else what its values suggest.")] = None,
    study_id: Annotated[str, typer.Option("--id", help="What the study is called.")] = "study",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="NAME=TYPE",
            help=f"A variable's type, if it is guessed wrong: {', '.join(TYPES)}; once for each variable.",
        ),
    ] = None,
    offset: Annotated[str | None, typer.Option(metavar="COLUMN", help="Added to the linear predictor.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="COLUMN", help="Prior weights, as lme4's.")] = None,
    trials: Annotated[str | None, typer.Option(metavar="COLUMN", help="What binomial counts are out of.")] = None,
    debug: shell.Debug = False,
) -> None:
    """Print a first study file, made from one site's own table. Nothing is sent.

    Types, levels and ranges are proposed from the columns that the formula uses. Ranges are rounded outwards, so that
    no patient's value is in them; levels are this site's, to which others must be added. What only you should know is
    noted on stderr.

    \b
    Example:
      fedglmm study draft patients.csv \\
        --formula "outcome ~ age + rx + (1 | site)" > study.toml
    """
    types = dict(parse_type(option) for option in kind or ())
    request = Request(formula, family, study_id, types, offset=offset, weights=weights, trials=trials)
    made = make_draft(request, parse_table(str(table), shell.read_bytes(table, "a table")), str(table))
    for note in made.notes:
        print(f"note: {note}", file=sys.stderr)
    print(made.text, end="")


@app.command()
def add_site(
    study: StudyFile,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the site is called in the study.")],
    public: PublicFile,
    replace: Annotated[bool, typer.Option("--replace", help="Change the keys of a site that is there.")] = False,
    debug: shell.Debug = False,
) -> None:
    """Write a site's keys into the study's roster.

    Comments and order of the file stay.

    \b
    Example:
      fedglmm study add-site study.toml north keys/north/public.toml
    """
    text = shell.read_text(study, "a study file")
    shell.replace_text(study, edit.add_site(text, str(study), name, _public(public), replace=replace))
    print(f"site {name} is in {study}; its digest is now {shell.read_study(study).hexdigest}")


@app.command()
def set_coordinator(
    study: StudyFile,
    public: PublicFile,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of another coordinator.")] = False,
    debug: shell.Debug = False,
) -> None:
    """Write the coordinator's certificate into the study.

    Comments and order of the file stay.

    \b
    Example:
      fedglmm study set-coordinator study.toml keys/coordinator/public.toml
    """
    text = shell.read_text(study, "a study file")
    shell.replace_text(study, edit.set_coordinator(text, str(study), _public(public), replace=replace))
    print(f"the coordinator is in {study}; its digest is now {shell.read_study(study).hexdigest}")


@app.command()
def check(study: StudyFile, debug: shell.Debug = False) -> None:
    """Validate a study file and show what it says.

    Prints its digest, its model's columns, its sites and its terms.

    Two files with the same digest are the same study: comments, order and white space do not count.

    \b
    Example:
      fedglmm study check examples/indomethacin/study.toml
    """
    print(description(shell.read_study(study)))


METHODS = {"laplace": "Laplace", "glm": "no random effects", "pql": "penalised quasi-likelihood"}


def description(study: Study) -> str:
    """A study in plain words."""
    model, layout, security, disclosure = study.model, study.layout, study.security, study.disclosure
    method = METHODS.get(model.method, f"adaptive Gauss-Hermite, {model.nodes} nodes")
    parameters = parameters_of(study)
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
            f"cells of at least {disclosure.minimum_cell} rows, {disclosure.minimum_rows} rows in all, "
            f"at most {disclosure.maximum_parameters_per_row:g} parameters a row, "
            f"{disclosure.maximum_levels} levels and {disclosure.maximum_levels_per_row:g} levels a row",
        ),
    )
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    return "\n".join([*lines, *(f"warning: {sentence}" for sentence in study.warnings())])


def _public(path: Path) -> edit.Keys:
    keys = edit.parse_public(shell.read_text(path, "a public.toml"), str(path))
    if "certificate" in keys:
        identity.certificate_der(keys["certificate"])
    return keys
