"""`fedtiny demo`."""

from __future__ import annotations

from pathlib import Path

import click

from fedtiny.cli.boundary import Command, output_options
from fedtiny.cli.session import session


@click.command(cls=Command, short_help="The whole way on real images, in minutes.")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder for the run and its exports.",
)
@output_options
def demo(out: Path) -> int:
    """Go the whole way on real images, for two targets, in minutes.

    Ten clients train one sparse ResNet-8 on Fashion-MNIST without sharing their data; the result
    is exported to ONNX, TFLite and C for a Cortex-M4 and a Cortex-A and verified on emulated cores.
    """
    with session() as run:
        from fedtiny import pipeline

        code = run.finish(*pipeline.demo(out, run.progress))
        for page in sorted(out.glob("*/report.html")):
            run.tell(f"report: {page}")
        return code
