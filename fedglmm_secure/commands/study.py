"""``fedglmm study``: write a study file, and look at it before anyone approves it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_secure import shell
from fedglmm_secure.choices import VARIABLE_TYPES, VariableType
from fedglmm_secure.errors import InputError

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
            help=f"A variable's type, if it is guessed wrong: {', '.join(VARIABLE_TYPES)}; once for each variable.",
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
    types, data = dict(parse_type(option) for option in kind or ()), shell.read_bytes(table, "a table")
    from fedglmm_secure.study import draft as drafts  # noqa: PLC0415  loads pandas and scipy
    from fedglmm_secure.study import parse_table  # noqa: PLC0415  the same

    request = drafts.Request(formula, family, study_id, types, offset=offset, weights=weights, trials=trials)
    made = drafts.draft(request, parse_table(str(table), data), str(table))
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
    from fedglmm_secure.commands import roster  # noqa: PLC0415  loads pandas, for the study's formula

    roster.add_site(study, name, public, replace=replace)
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
    from fedglmm_secure.commands import roster  # noqa: PLC0415  loads pandas, for the study's formula

    roster.set_coordinator(study, public, replace=replace)
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
    from fedglmm_secure.commands.description import description  # noqa: PLC0415  loads pandas, for the formula

    print(description(shell.read_study(study)))


def parse_type(option: str) -> tuple[str, VariableType]:
    """NAME and TYPE of an option ``NAME=TYPE``; InputError for another form or type."""
    name, _, kind = option.rpartition("=")
    for known in VARIABLE_TYPES:
        if name and kind == known:
            return name, known
    raise InputError(f"--type {option}: write NAME=TYPE, where TYPE is one of {', '.join(VARIABLE_TYPES)}")
