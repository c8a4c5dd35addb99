"""Where the three command lines start.

A program takes a moment to load, in which Ctrl-C shall end it as it does afterwards: with no traceback. So this module
imports nothing before it has seen to that. What a command works with takes a second more: that is imported where the
command begins (``commands``, and ``main`` of the other two), once its options are known to be right.
"""

import signal
from importlib import import_module


def fedglmm() -> None:
    """Run ``fedglmm``."""
    _run("fedglmm_secure.commands.main")


def coordinator() -> None:
    """Run ``fedglmm-coordinator``."""
    _run("fedglmm_coordinator.main")


def site() -> None:
    """Run ``fedglmm-site``."""
    _run("fedglmm_site.main")


def _run(module: str) -> None:
    """Import a program and run it; ``shell.run`` takes up Ctrl-C when there is something to tidy up."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    import_module(module).main()
