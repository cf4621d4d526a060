"""The `fedtiny` command: its group, and every command that exists."""

from __future__ import annotations

import click

from fedtiny.cli.bench import bench
from fedtiny.cli.boundary import Group, output_options
from fedtiny.cli.data import data
from fedtiny.cli.demo import demo
from fedtiny.cli.devices import devices
from fedtiny.cli.export import export
from fedtiny.cli.plan import plan
from fedtiny.cli.report import report
from fedtiny.cli.train import train
from fedtiny.cli.verify import verify

EPILOG = (
    "Exit codes: 0 done and fits; 2 bad usage or bad input; 3 does not fit the device; 4 outputs "
    "differ from the reference; 5 runner or device not available or failed; 130 interrupted; "
    "1 a defect of FedTiny."
)


def _version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"fedtiny {version('fedtiny')}")
        context.exit()


@click.group(cls=Group, epilog=EPILOG)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@output_options
def fedtiny() -> None:
    """Train one sparse model on many devices' private data; compile it; prove that it fits."""


for _command in (train, plan, export, verify, bench, report, devices, data, demo):
    fedtiny.add_command(_command)

__all__ = ["export", "fedtiny"]
