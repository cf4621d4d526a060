"""`fedtiny bench`."""

from __future__ import annotations

from pathlib import Path

import click

from fedtiny.cli.boundary import Command, output_options
from fedtiny.cli.session import session


def _names(context: click.Context, option: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def _threads(
    context: click.Context, option: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        counts = tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise click.BadParameter("give numbers from 1 on, for example 1,2")
    return counts


@click.command(cls=Command, short_help="Time an export's C beside stock runtimes.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--against",
    metavar="LIST",
    default="",
    callback=_names,
    help="Comma-separated: litert, onnxruntime. Default: none, only the C is timed.",
)
@click.option(
    "--threads",
    metavar="LIST",
    callback=_threads,
    help="Numbers of threads that each may use. Default: 1,2, as far as there are processors.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How often each has its turn.",
)
@output_options
def bench(
    directory: Path, against: tuple[str, ...], threads: tuple[int, ...] | None, rounds: int
) -> None:
    """Time the C of an exported DIR on this machine, in turns with runtimes that load its files.

    Each runs in a process of its own, is held to the golden vectors first, and is stopped while it
    is not its turn. Ratios are its time over ours in the same round.
    """
    with session() as run:
        from fedtiny import pipeline
        from fedtiny.report.bench import print_bench
        from fedtiny.report.codec import encode

        found = pipeline.bench(directory, against, threads, rounds, run.progress)
        run.show(encode(found), lambda console: print_bench(found, console))
