"""`fedtiny verify`."""

from __future__ import annotations

from pathlib import Path

import click

from fedtiny.cli.boundary import Command, output_options
from fedtiny.cli.session import session


@click.command(cls=Command, short_help="Run an export and compare it with the reference.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--on",
    "runners",
    metavar="RUNNER",
    multiple=True,
    help="host, unicorn, qemu or serial:PORT; repeatable. Default: the target's own.",
)
@output_options
def verify(directory: Path, runners: tuple[str, ...]) -> int:
    """Run an exported DIR and compare: outputs equal to the reference, memory inside the budget.

    What the runners count replaces what was estimated in DIR's report.
    """
    with session() as run:
        from fedtiny import pipeline

        return run.finish(pipeline.verify(directory, runners, run.progress))
