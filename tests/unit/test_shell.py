"""However a program ends, it says one sentence and leaves with the code of its kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fedglmm_secure import shell
from fedglmm_secure.errors import FitError, InputError, LinkError, PeerError, RefusalError
from fedglmm_secure.wire import identity

FullDisk = Callable[[int], AbstractContextManager[None]]


def end(error: BaseException | None, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    app = shell.make_app("A test.")

    @app.callback()
    def _program() -> None: ...

    @app.command()
    def act(debug: shell.Debug = False) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr("sys.argv", ["test", "act", *options])
    monkeypatch.setattr("os.umask", lambda mask: 0)
    with pytest.raises(SystemExit) as ended:
        shell.run(app, "test")
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (InputError("the table is wrong"), 2),
        (RefusalError("no"), 3),
        (FitError("no maximum"), 4),
        (LinkError("no line"), 5),
        (PeerError("a lie"), 6),
        (PermissionError(13, "Permission denied", "out"), 2),
        (MemoryError("patient 17"), 2),
        (ZeroDivisionError("patient 17"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_end_has_its_code_and_at_most_one_sentence(
    error: BaseException | None, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(error, monkeypatch) == code
    said = capsys.readouterr().err
    assert len(said.splitlines()) == (code not in (0, 130))
    assert "patient 17" not in said


def test_a_text_without_an_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/dev/zero: cannot be read as a study file: it is a folder, pipe or device"):
        shell.read_text(Path("/dev/zero"), "a study file")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(InputError, match="large: is too large for a study file"):
        shell.read_text(tmp_path / "large", "a study file")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert end(ZeroDivisionError("x"), monkeypatch, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_while_a_program_loads_shows_no_traceback() -> None:
    stopped = "import os, signal; from fedglmm_secure import programs; "
    stopped += "programs.import_module = lambda name: os.kill(os.getpid(), signal.SIGINT); programs.site()"
    ended = subprocess.run([sys.executable, "-c", stopped], capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"")


def test_ctrl_c_while_a_command_loads_its_libraries_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from fedglmm_secure import programs; programs.fedglmm()"
    command = [sys.executable, "-c", code, "study", "check", "study.toml"]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (shell.INTERRUPTED, b"")


def test_ctrl_c_before_a_command_line_is_at_work_shows_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def app(**options: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        shell.run(app, "test")
    assert (ended.value.code, capsys.readouterr().err) == (shell.INTERRUPTED, "")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7443", ("127.0.0.1", 7443)),
        ("fit.example.org:1", ("fit.example.org", 1)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address(text: str, address: tuple[str, int]) -> None:
    assert shell.parse_address("--listen", text, "0.0.0.0:7443", lowest=0) == address


@pytest.mark.parametrize(
    "text",
    [
        "host",
        "host:",
        ":7443",
        "host:port",
        "::1:7443",
        "h:65536",
        "h:99999",
        "h:0",
        "https://h:7443",
        "h h:1",
        "h:１",
        "[::1]",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(
        InputError, match=r"is not HOST:PORT; use for example fit\.example\.org:7443, with an IPv6 address in"
    ):
        shell.parse_address("--coordinator", text, "fit.example.org:7443", lowest=1)


def test_keys_are_written_all_or_none(tmp_path: Path, full_disk: FullDisk) -> None:
    own = identity.generate()
    with full_disk(300), pytest.raises(OSError, match="File too large"):
        shell.write_identity(tmp_path, own)
    assert list(tmp_path.iterdir()) == []
    shell.write_identity(tmp_path, own)
    assert shell.read_identity(tmp_path).files() == own.files()


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, link = tmp_path / "study.toml", tmp_path / "link.toml"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    shell.replace_text(link, "new\r\n")
    assert (file.read_bytes(), file.stat().st_mode & 0o777, link.is_symlink()) == (b"new\r\n", 0o640, True)

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        shell.replace_text(file, "half")
    assert file.read_bytes() == b"new\r\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.toml", "study.toml"]


def test_a_result_that_is_nested_without_end(tmp_path: Path) -> None:
    study = shell.read_study(Path(__file__).parents[2] / "examples" / "indomethacin" / "study.toml")
    (tmp_path / "result.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="is no result of this program"):
        shell.refuse_other_result(tmp_path, study)


def test_a_new_file_is_written_as_a_whole_or_not_at_all(tmp_path: Path, full_disk: FullDisk) -> None:
    file = tmp_path / "result.json"
    with full_disk(3), pytest.raises(OSError, match=r"File too large: '.*result\.json'"):
        shell.replace_text(file, "whole")
    assert list(tmp_path.iterdir()) == []
    shell.replace_text(file, "whole")
    assert file.read_text() == "whole"
    (tmp_path / "other").touch()
    assert file.stat().st_mode == (tmp_path / "other").stat().st_mode, "a new file is for whom the umask says"
