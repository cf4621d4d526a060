"""The command line. Nothing heavy is imported until a command really runs."""

from __future__ import annotations

import signal
import sys
from types import FrameType


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
        sys.exit(130)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
