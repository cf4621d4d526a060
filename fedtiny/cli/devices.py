"""`fedtiny devices`: targets and boards, and the citation of every number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedtiny.cli.boundary import Group, output_options
from fedtiny.cli.session import session

if TYPE_CHECKING:
    from rich.console import Console

    from fedtiny.devices.profiles import DeviceProfile


@click.group(cls=Group, invoke_without_command=True, short_help="Targets and boards.")
@click.pass_context
@output_options
def devices(context: click.Context) -> None:
    """List the targets and boards, show one board, or check a profile of your own."""
    if context.invoked_subcommand is None:
        context.invoke(list_devices)


@devices.command("list")
@output_options
def list_devices() -> None:
    """List every board and every target."""
    from fedtiny.devices.profiles import boards, targets
    from fedtiny.report.codec import encode
    from fedtiny.report.units import bytes_text, hertz_text

    def text(console: Console) -> None:
        from rich.table import Table

        table = Table("device", "target", "clock", "flash", "SRAM", "description", box=None)
        for item in boards().values():
            row = (item.name, item.target, hertz_text(item.clock_hz), bytes_text(item.flash_bytes))
            table.add_row(*row, bytes_text(item.sram_bytes), item.description)
        console.print(table)
        console.print()
        table = Table("target", "default dtype", "runner", "description", box=None)
        for core in targets().values():
            table.add_row(core.name, core.dtype, core.runner, core.description)
        console.print(table)

    with session() as run:
        found = {"devices": list(boards().values()), "targets": list(targets().values())}
        run.show(encode(found), text)


@devices.command()
@click.argument("name", metavar="NAME")
@output_options
def show(name: str) -> None:
    """Show one board (or profile FILE.toml) and where each of its numbers comes from."""
    from fedtiny.devices.profiles import board

    with session() as run:
        profile = board(name)
        run.show(_document(profile), lambda console: _print(profile, console))


@devices.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@output_options
def check(file: Path) -> None:
    """Check a device profile of your own (a TOML file)."""
    from fedtiny.devices.profiles import board
    from fedtiny.errors import UsageError

    with session() as run:
        if file.suffix != ".toml":
            raise UsageError(f"{str(file)!r} is not a .toml file.")
        profile = board(str(file))

        def text(console: Console) -> None:
            console.print(f"{file} is a valid profile.")
            _print(profile, console)

        run.show(_document(profile), text)


def _document(profile: DeviceProfile) -> object:
    from fedtiny.report.codec import encode

    return encode(profile)


def _print(profile: DeviceProfile, console: Console) -> None:
    from rich.table import Table

    from fedtiny.report.codec import encode
    from fedtiny.report.units import UNKNOWN

    content = encode(profile)
    assert isinstance(content, dict)
    content.pop("sources")
    table = Table("field", "value", "source", box=None)
    for key, value in content.items():
        number = f"{value:,}" if isinstance(value, int | float) else str(value or UNKNOWN)
        table.add_row(key, number, profile.sources.get(key, ""))
    console.print(table)
