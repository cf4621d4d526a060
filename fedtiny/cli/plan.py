"""`fedtiny plan`."""

from __future__ import annotations

from pathlib import Path

import click

from fedtiny.cli.boundary import Command, output_options
from fedtiny.cli.session import session


@click.command(cls=Command, short_help="Show what less memory costs in instructions.")
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.option("--target", metavar="TARGET", help="Instruction-set class, for example cortex-m4.")
@click.option("--device", metavar="PROFILE", help="Board or TOML file; implies the target.")
@click.option(
    "--dtype",
    type=click.Choice(["int8", "float32", "float16"]),
    help="Default: int8 for an int8 model, Cortex-M and Cortex-A, float32 for others.",
)
@click.option(
    "--density",
    metavar="D",
    type=click.FloatRange(0, 1, min_open=True),
    help="Prune every prunable layer by magnitude to this density first.",
)
@click.option("--pattern", metavar="P", help="As for `fedtiny export`.")
@click.option("--calibration", metavar="NAME|FILE.npz", help="As for `fedtiny export`.")
@click.option("--feed", is_flag=True, help="Rows of the input arrive one call at a time.")
@output_options
def plan(
    model: Path,
    target: str | None,
    device: str | None,
    dtype: str | None,
    density: float | None,
    pattern: str | None,
    calibration: str | None,
    feed: bool,
) -> None:
    """Show every plan of MODEL that no other beats: arena against instructions.

    From the fastest to the smallest, which is what `fedtiny export --ram min` takes; --ram balanced
    takes the smallest arena with at most 10 % more instructions. Nothing is written.
    """
    if (target is None) == (device is None):
        raise click.UsageError(
            "give exactly one of --target (an instruction-set class) and --device (a board)"
        )
    with session() as run:
        from fedtiny import pipeline
        from fedtiny.report.codec import encode
        from fedtiny.report.curve import print_curve

        found = pipeline.curve(
            model,
            target=target,
            device=device,
            dtype=dtype,
            density=density,
            pattern=pattern,
            calibration=calibration,
            feed=feed,
            progress=run.progress,
        )
        run.show(encode(found), lambda console: print_curve(found, console))
