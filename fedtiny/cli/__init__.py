"""The command line. Nothing heavy is imported until a command really runs."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130


def main() -> None:
    """Entry point `fedtiny`."""
    _run("fedtiny")


def export_main() -> None:
    """Entry point `fedtiny-export`: the same command as `fedtiny export`."""
    _run("fedtiny-export")


def _run(name: str) -> None:
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        from fedtiny.cli.app import export, fedtiny

        command = fedtiny if name == "fedtiny" else export
        command.main(prog_name=name)
    except KeyboardInterrupt:  # before or after the command's own handling
        print("fedtiny: interrupted.", file=sys.stderr)
        _leave_interrupted()
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            _leave_interrupted()
        raise
    finally:
        # The command is over: Ctrl-C while Python shuts down must not change how it ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave_interrupted() -> NoReturn:
    """End with 130, whatever Python remembers.

    An interrupt that passed through `exec` (dataclasses and named tuples use it while a library is
    imported) makes Python kill itself with SIGINT at its very end, although it was caught.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
