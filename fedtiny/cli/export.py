"""`fedtiny export`, also installed as `fedtiny-export`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from fedtiny.cli.boundary import Command, output_options
from fedtiny.cli.session import session


def _formats(
    context: click.Context, option: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    if value is None:
        return None
    formats = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not formats:
        raise click.BadParameter("name at least one format, for example onnx,tflite,c")
    return formats


@click.command(cls=Command, short_help="Compile a model for a device.")
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.option("--target", metavar="TARGET", help="Instruction-set class, for example cortex-m4.")
@click.option(
    "--device",
    metavar="PROFILE",
    help="Board or TOML file; implies the target and sets the budgets (`fedtiny devices`).",
)
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to make; an earlier export there is replaced.",
)
@click.option(
    "--format",
    "formats",
    metavar="LIST",
    callback=_formats,
    help="Comma-separated: onnx, sparse-onnx, ort, tflite, sparse-tflite, c, packed. "
    "Default: onnx,tflite,c as far as they hold the dtype.",
)
@click.option(
    "--dtype",
    type=click.Choice(["int8", "float32", "float16"]),
    help="Default: int8 for an int8 model, Cortex-M and Cortex-A, float32 for others. float16 "
    "stores weights so in .onnx and .tflite files.",
)
@click.option(
    "--io",
    type=click.Choice(["int8", "float32"]),
    help="What the application exchanges with an int8 program: float32 adds the conversions. "
    "Default: int8.",
)
@click.option(
    "--density",
    metavar="D",
    type=click.FloatRange(0, 1, min_open=True),
    help="Prune every prunable layer by magnitude to this density: a what-if for speed and size.",
)
@click.option(
    "--pattern",
    metavar="P",
    help="Which weights --density keeps or drops together: unstructured (default), block1x4 "
    "(neighbouring input channels), block4x1 (output channels), N:M (N of M input channels, which "
    "is a density), channel.",
)
@click.option(
    "--calibration",
    metavar="NAME|FILE.npz",
    help="Data that gives a float model its int8 ranges, unless its RUN holds them.",
)
@click.option(
    "--calibration-method",
    metavar="M",
    default="minmax",
    show_default=True,
    help="How int8 ranges are chosen from what was seen: minmax, percentile or entropy.",
)
@click.option(
    "--equalize/--no-equalize",
    default=None,
    help="Equalize channels across layers. Default: where int8 outputs get nearer to float ones.",
)
@click.option(
    "--correct-bias/--no-correct-bias",
    default=None,
    help="Correct biases for what quantization adds on average. Default: as above.",
)
@click.option(
    "--ram",
    type=click.Choice(["min", "balanced", "speed"]),
    default="balanced",
    show_default=True,
    help="What to save, memory or instructions; balanced with --device: the fastest that fits.",
)
@click.option(
    "--optimize",
    type=click.Choice(["speed", "size"]),
    default="speed",
    show_default=True,
    help="size: kernels and formats of fewer bytes of flash, which are slower, in the same memory.",
)
@click.option(
    "--feed",
    is_flag=True,
    help="The C program takes its input row by row (model_push_row), and keeps only rows that are "
    "still needed.",
)
@output_options
def export(
    model: Path,
    target: str | None,
    device: str | None,
    out: Path,
    formats: tuple[str, ...] | None,
    dtype: str | None,
    io: str | None,
    density: float | None,
    pattern: str | None,
    calibration: str | None,
    calibration_method: str,
    equalize: bool | None,
    correct_bias: bool | None,
    ram: Literal["min", "balanced", "speed"],
    optimize: Literal["speed", "size"],
    feed: bool,
) -> int:
    """Compile MODEL for a target or a device.

    MODEL is a RUN folder of `fedtiny train` or its .safetensors, or anybody's .onnx or .tflite
    file. Exactly one of --target and --device is needed. `fedtiny verify DIR` then holds every
    exported file to the reference.
    """
    if (target is None) == (device is None):
        raise click.UsageError(
            "give exactly one of --target (an instruction-set class) and --device (a board)"
        )
    with session() as run:
        from fedtiny import pipeline

        report = pipeline.export(
            model,
            target=target,
            device=device,
            out=out,
            formats=formats,
            dtype=dtype,
            io=io,
            density=density,
            pattern=pattern,
            calibration=calibration,
            calibration_method=calibration_method,
            equalize=equalize,
            correct_bias=correct_bias,
            ram=ram,
            optimize=optimize,
            feed=feed,
            progress=run.progress,
        )
        return run.finish(report)
