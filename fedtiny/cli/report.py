"""`fedtiny report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedtiny.cli.boundary import Command, output_options
from fedtiny.cli.session import session

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=Command, short_help="Show exports and training runs.")
@click.argument("folders", metavar="DIR|RUN...", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--html",
    "page",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write one self-contained page, of all the folders together.",
)
@click.option("--layers", is_flag=True, help="Print the table of layers too.")
@output_options
def report(folders: tuple[Path, ...], page: Path | None, layers: bool) -> None:
    """Show what exports (DIR) and training runs (RUN) came to, in the order given."""
    if not folders:
        raise click.UsageError("name at least one folder of `fedtiny export` or `fedtiny train`")
    with session() as run:
        from fedtiny.report.folders import read_folder, record_file
        from fedtiny.report.html import render
        from fedtiny.report.run import RunRecord
        from fedtiny.report.terminal import print_report, print_run

        found = [read_folder(folder) for folder in folders]
        if page is not None:
            from fedtiny.files import new_file

            with new_file(page) as work:
                work.write_text(render(*found), encoding="utf-8")
            run.progress.log(f"wrote {page}")
        documents = [json.loads(record_file(folder).read_text("utf-8")) for folder in folders]

        def text(console: Console) -> None:
            for item in found:
                if isinstance(item, RunRecord):
                    print_run(item, console)
                else:
                    print_report(item, console, layers, files=True)

        run.show(documents[0] if len(documents) == 1 else documents, text)
