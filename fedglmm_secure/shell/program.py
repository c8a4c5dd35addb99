"""What the three command lines share: one sentence for an error, the exit code of its kind, no traceback unasked."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from fedglmm_secure.errors import FedglmmError

if TYPE_CHECKING:
    from fedglmm_secure.estimate import TraceRow

INTERRUPTED = 130
"""The shell's convention for a program that Ctrl-C ended."""

LONGEST = 1e9
"""Seconds that an option may ask for: longer than any fit, and a number."""

Say = Callable[[str], None]
"""Takes one line of progress."""

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _show_version(context: typer.Context, asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415  slow to load, and nothing else asks

        print(f"{context.info_name} {version('fedglmm-secure')}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show which version this is.")
]
"""An option of a whole program."""


def make_app(text: str) -> typer.Typer:
    """A command line with the help ``text``, which ``run`` runs."""
    return typer.Typer(help=text, add_completion=False, no_args_is_help=True, rich_markup_mode=None)


def run(app: typer.Typer, program: str) -> NoReturn:
    """Run a command line and leave with its exit code: errors.py names them, 2 is for wrong options too."""
    os.umask(0o077)  # what a party keeps is for its own eyes
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # set while the program was loaded
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(app(prog_name=program, standalone_mode=False) or 0)
    except TyperException as error:
        _fail(program, f"{_sentence(error)}; see {program} --help" if _sentence(error) else "", 2)
    except FedglmmError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        _fail(program, str(error), error.exit_code)
    except KeyboardInterrupt:  # while options are read; from a command, typer returns this code
        sys.exit(INTERRUPTED)
    except OSError as error:
        # a full disk, a folder without permission: the user's to mend, and never worth a traceback
        if "--debug" in sys.argv:
            traceback.print_exc()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "make room, then run the same command again" if full else "check the path and its permissions"
        _fail(program, f"{error.filename or 'a file'}: {error.strerror}; {remedy}", 2)
    except MemoryError:
        if "--debug" in sys.argv:
            traceback.print_exc()
        _fail(program, "there is not enough memory; check that the files are the right ones, or make room", 2)
    except Exception as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        _fail(program, f"failed in a way it should not ({type(error).__name__}); run it with --debug and report it", 1)


def speaker(*, quiet: bool) -> Say:
    """Where lines of progress go: to stderr, or nowhere."""
    return _silent if quiet else _to_stderr


def progress_line(row: TraceRow) -> str:
    """One sum of a fit as a line of progress."""
    parts = [f"sum {row.sum:>2}  {row.question:<20}"]
    if row.log_likelihood is not None:
        parts.append(f"log-likelihood {row.log_likelihood:.6f}")
    if row.decrement is not None:
        parts.append(f"decrement {row.decrement:.1e}")
    return "  ".join(parts).rstrip()


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # at once, as several programs may share a terminal
    sys.stderr.flush()


def _silent(line: str) -> None:
    pass


def _sentence(error: TyperException) -> str:
    message = getattr(error, "format_message", lambda: str(error))()
    return str(message).strip().rstrip(".")


def _fail(program: str, sentence: str, code: int) -> NoReturn:
    if sentence:
        print(f"{program}: {sentence}", file=sys.stderr)
    sys.exit(code)
