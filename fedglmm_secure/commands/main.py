"""The command ``fedglmm``: a study lead's tools. They run on one machine and send nothing anywhere."""

from __future__ import annotations

from fedglmm_secure import shell
from fedglmm_secure.commands import compare, keys, paillier, rehearse, report, study

app = shell.make_app("Mixed models across hospitals whose patients' data never move: a study lead's tools.")


@app.callback()
def _program(version: shell.Version = False) -> None:
    """Mixed models across hospitals whose patients' data never move: a study lead's tools."""


app.add_typer(study.app, name="study")
app.add_typer(keys.app, name="keys")
app.add_typer(paillier.app, name="paillier")
app.command("rehearse")(rehearse.rehearse)
app.command("compare")(compare.compare)
app.command("report")(report.report)


def main() -> None:
    """Run the command line."""
    shell.run(app, "fedglmm")
