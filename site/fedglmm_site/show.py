"""A dry run on the terminal, in tables, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fedglmm_site.preview import Preview
from fedglmm_site.questions import Possible

WIDTH = 110
"""Columns of text where there is no terminal to say."""
_FIRST = 4
"""Names of numbers that are shown unless all are asked for."""
_VERDICTS = {True: "ok", False: "REFUSED", None: "not yet known"}


def show(preview: Preview, *, everything: bool) -> None:
    """Print a dry run; with ``everything``, the name of each number that may leave."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    _heading(console, "The study")
    console.print(_table((), preview.terms.items()))
    _heading(console, "The columns it uses")
    columns = [tuple(map(str, vars(column).values())) for column in preview.columns]
    console.print(_table(("column", "use", "type", "declared", "in this table", "missing"), columns))
    _line(console, f"Not used, and not read further: {', '.join(preview.unread) or 'none'}.")
    _heading(console, "The rows")
    _line(console, _rows(preview))
    _heading(console, "Disclosure checks")
    if not preview.checks:
        _line(console, "Not made: the table could not be read as the study needs it.")
    for when in dict.fromkeys(check.when for check in preview.checks):
        _line(console, f"Decided {when}:", style="bold")
        checks = [check for check in preview.checks if check.when == when]
        cells = [(check.name, check.value, check.limit, _VERDICTS[check.passed]) for check in checks]
        console.print(_table(("check", "value", "limit", "verdict"), cells))
    _heading(console, "What may be asked, and what would leave")
    for question in preview.questions:
        _question(console, question, everything=everything)
    _list(console, "Beside these numbers, there leave:", preview.also_leaves)
    _list(console, "There never leave:", preview.never_leaves)
    if preview.warnings:
        _list(console, "Warnings:", preview.warnings)
    _heading(console, "In short")
    if preview.problems:
        _list(console, "`fedglmm-site join` would be refused:", map(str, preview.problems))
    else:
        _line(console, "`fedglmm-site join` would be allowed, once this site has approved the study.")


def as_json(preview: Preview) -> str:
    """The same for programs, with the name of every number."""
    fields: dict[str, Any] = {key: value for key, value in vars(preview).items() if key != "problems"}
    for key in ("columns", "checks", "questions"):
        fields[key] = [asdict(entry) for entry in fields[key]]
    problems = [{"exit_code": error.exit_code, "sentence": str(error)} for error in preview.problems]
    return json.dumps({"format": "fedglmm-site-check/1", **fields, "problems": problems}, indent=2)


def _rows(preview: Preview) -> str:
    if not preview.rows:
        return "Not counted: the table could not be read as the study needs it."
    rows = preview.rows
    missing = [f"{column.missing} without {column.name}" for column in preview.columns if column.missing]
    why = f" because a used value is missing ({', '.join(missing)})" if missing else ""
    return f"{rows['in the table']} in the table: {rows['used']} are used, {rows['left out']} are left out{why}."


def _question(console: Console, question: Possible, *, everything: bool) -> None:
    names = question.names if everything else question.names[:_FIRST]
    rest = len(question.names) - len(names)
    _line(console, f"{question.kind}, in {question.sums}, about {question.rows}", style="bold")
    _line(console, f"asks for {question.meaning}", indent=4)
    _line(console, f"{len(question.names)} numbers, a message of at most {question.bytes} bytes:", indent=4)
    more = [f"... and {rest} more (--all)"] if rest else []
    _line(console, "; ".join([*names, *more]), indent=6)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Padding:
    table = Table(box=None, show_header=bool(headings), pad_edge=False, header_style="bold")
    for row in rows:
        if not table.columns:
            for heading in headings or [""] * len(row):
                table.add_column(heading, overflow="fold")  # on a narrow terminal nothing is left out
        table.add_row(*map(Text, row))
    return Padding(table, (0, 0, 0, 2), expand=False)


def _heading(console: Console, text: str) -> None:
    console.print(Text(f"\n{text}", style="bold"))


def _line(console: Console, text: str, indent: int = 2, style: str = "") -> None:
    console.print(Padding(Text(text, style=style), (0, 0, 0, indent), expand=False))


def _list(console: Console, heading: str, entries: Iterable[str]) -> None:
    _line(console, heading, style="bold")
    for entry in entries:
        table = Table.grid(padding=(0, 1))
        table.add_row("-", Text(entry))
        console.print(Padding(table, (0, 0, 0, 4), expand=False))
