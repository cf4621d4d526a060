"""A report on one screen of a terminal; plain text when it is not a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedtiny.report.model import DeploymentReport, Figure
from fedtiny.report.run import RunRecord
from fedtiny.report.summary import Verdict, meters, run_verdicts, verdicts
from fedtiny.report.units import (
    UNKNOWN,
    bytes_text,
    count_text,
    density_text,
    figure_value,
    hertz_text,
    key_text,
    percent_text,
    short_name,
)

_MARKS = {"good": ("✓", "bold green"), "bad": ("✗", "bold red"), "neutral": ("·", "bold")}
_PLAIN_WIDTH = 120


def make_console(stream: TextIO) -> Console:
    """A console that is coloured on a terminal and plain, and wide enough, elsewhere."""
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False)
    return Console(file=stream, highlight=False, markup=False, no_color=True, width=_PLAIN_WIDTH)


def print_report(
    report: DeploymentReport, console: Console, layers: bool = False, files: bool = False
) -> None:
    """Print verdicts, budgets and how each figure is known.

    Args:
        report: What to print.
        console: Where.
        layers: Print the table of layers too.
        files: Print the table of files too.
    """
    console.print()
    console.print(_title(report))
    _print_verdicts(verdicts(report), console)
    for failure in report.budget.failures:
        hint = f"; {failure.hint}" if failure.hint else ""
        over = key_text(failure.what, failure.value - failure.limit)
        console.print(f"    {failure.what}: {over} too much, most in {failure.where}{hint}")
    console.print(_figures(report))
    if files:
        console.print(_files(report))
    if layers:
        console.print(_layers(report))


def print_run(run: RunRecord, console: Console) -> None:
    """Print what a training run came to."""
    console.print()
    console.print(Text(f"{run.model.name} trained on {run.config.data}", style="bold"))
    config = run.config
    console.print(
        f"  {config.method}, {config.clients} clients, {config.rounds} rounds, seed {config.seed}"
    )
    _print_verdicts(run_verdicts(run), console)


def _print_verdicts(found: Iterable[Verdict], console: Console) -> None:
    for verdict in found:
        mark, style = _MARKS[verdict.state]
        line = Text(f"  {mark} ", style=style) + Text(verdict.title, style=style)
        console.print(line + Text(f"  {verdict.detail}", style="default"))


def _title(report: DeploymentReport) -> Text:
    model, device = report.model, report.device
    place = report.target
    if device:
        place = f"{device.name} ({report.target}, {hertz_text(device.clock_hz)})"
    dropped = model.channels_dropped
    narrower = f", {dropped} of {model.channels} channels dropped" if dropped else ""
    return Text(f"{model.name} → {place}", style="bold") + Text(
        f"   density {density_text(model.density)}, {count_text(model.parameters)} parameters, "
        f"{count_text(model.macs_nonzero)} of {count_text(model.macs)} MACs"
        f"{narrower}"
    )


def _figures(report: DeploymentReport) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for name in ("figure", "value", "budget", "used", "how it is known"):
        table.add_column(name, justify="right" if name in ("value", "budget", "used") else "left")
    for meter in meters(report):
        limit = key_text(meter.key, meter.limit) if meter.limit is not None else UNKNOWN
        share = Text(percent_text(meter.share), style="red" if meter.over else "green")
        table.add_row(
            meter.label, key_text(meter.key, meter.used.value), limit, share, _known(meter.used)
        )
    for label, key in (
        ("  weights and tables", "weights_bytes"),
        ("  code", "code_bytes"),
        ("  arena", "arena_bytes"),
        ("  stack", "stack_bytes"),
        ("  stack, at most", "stack_bound_bytes"),
        ("Instructions", "instructions"),
        ("Cycles", "cycles"),
    ):
        figure = getattr(report.totals, key)
        if figure is not None:
            table.add_row(label, key_text(key, figure.value), "", "", _known(figure))
        if key == "arena_bytes" and report.arena is not None and report.arena.gap is not None:
            least = key_text(key, report.arena.bound_bytes)
            above = f"the arena is {percent_text(report.arena.gap)} above"
            table.add_row("  arena, at least", least, "", "", above)
    return table


def _known(figure: Figure) -> str:
    return f"{figure.evidence} by {figure.by}"


def _files(report: DeploymentReport) -> Table:
    """Sizes; those of the C sources say nothing about the program, whose flash is a figure."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for name in ("file", "size", "gzipped", "dense", "dense, gzipped"):
        table.add_column(name, justify="left" if name == "file" else "right")
    for item in report.artifacts:
        if item.gzip_bytes is not None:
            sizes = (item.bytes, item.gzip_bytes, item.dense_bytes, item.dense_gzip_bytes)
            table.add_row(item.path, *map(bytes_text, sizes))
    return table


def _layers(report: DeploymentReport) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for name in ("layer", "kernel", "density", "MACs", "flash", "instructions", "cycles"):
        table.add_column(name, justify="left" if name in ("layer", "kernel") else "right")
    for layer in report.layers:
        table.add_row(
            short_name(layer.name),
            layer.kernel,
            density_text(layer.density),
            count_text(layer.macs_nonzero),
            bytes_text(figure_value(layer.flash_bytes)),
            count_text(figure_value(layer.instructions)),
            count_text(figure_value(layer.cycles)),
        )
    return table
