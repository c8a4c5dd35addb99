"""The commands of docs/studies.md, run as they are written."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from fedglmm_secure import shell
from fedglmm_secure.commands import main as fedglmm

GUIDE = Path(__file__).parents[2] / "docs" / "studies.md"


def test_every_command_of_the_guide(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = re.findall(r"^    (fedglmm .*)$", GUIDE.read_text(), re.MULTILINE)
    assert len(commands) == 10
    shutil.copy(data_folder / "indo_rct.csv", tmp_path / "patients.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.umask", lambda mask: 0)
    for command in commands:
        program, *arguments = shlex.split(command)
        to = arguments[arguments.index(">") + 1] if ">" in arguments else None
        monkeypatch.setattr("sys.argv", [program, *arguments[: -2 if to else None]])
        with pytest.raises(SystemExit) as ended:
            shell.run(fedglmm.app, program)
        said = capsys.readouterr()
        assert (ended.value.code or 0, said.err) == (0, ""), command
        if to:
            (tmp_path / to).write_text(said.out)
    assert re.search(r"^sites +north, south, west$", said.out, re.MULTILINE)
    assert "warning" not in said.out
