"""`fedtiny data`: the named datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fedtiny.cli.boundary import Group, output_options
from fedtiny.cli.session import session

if TYPE_CHECKING:
    from rich.console import Console


@click.group(cls=Group, invoke_without_command=True, short_help="Datasets known by name.")
@click.pass_context
@output_options
def data(context: click.Context) -> None:
    """List the datasets that `--data` knows by name."""
    if context.invoked_subcommand is None:
        context.invoke(list_data)


@data.command("list")
@output_options
def list_data() -> None:
    """List every named dataset."""
    with session() as run:
        from fedtiny import discovery

        package = "fedtiny.data.sources"
        modules = {n: discovery.load(package, "dataset", n) for n in discovery.names(package)}
        found = {name: (item.__doc__ or "").split("\n")[0] for name, item in modules.items()}

        def text(console: Console) -> None:
            from rich.table import Table

            table = Table("dataset", "description", box=None)
            for name, description in found.items():
                table.add_row(name, description)
            console.print(table)
            console.print(
                "`--data` also takes FILE.npz, or a folder of IDX, CIFAR, SVHN or PNG files."
            )

        run.show([{"name": n, "description": d} for n, d in found.items()], text)
