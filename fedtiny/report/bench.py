"""What a benchmark found, on one screen of a terminal."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedtiny.benchmark.result import BenchResult, Entry, Race, Spread
from fedtiny.devices.profiles import target
from fedtiny.report.units import UNKNOWN, bytes_text, density_text

MOST_LOST = 0.1
"""Share by which the C may be slower than a stock runtime before that is recommended."""

_COLUMNS = ("file", "time", "ratio", "load", "peak", "added")


def print_bench(result: BenchResult, console: Console) -> None:
    """Print a table for each number of threads, and what must be known to read it."""
    machine = result.machine
    console.print()
    console.print(
        Text(f"{result.model} on {machine.processor}", style="bold")
        + Text(
            f"   {machine.cpus} processors, {machine.system}; {result.dtype}, "
            f"density {density_text(result.density)}, {result.rounds} rounds"
        )
    )
    for race in result.races:
        console.print(_table(race))
    console.print(
        "time: of an inference, median and quartiles over rounds in which all took turns; ratio: "
        "that over ours of the same round; load: from the file to the first output; peak: memory "
        "of the process; added: what came with the runtime and the model of it."
    )
    limited = [e for race in result.races for e in race.entries if e.threads < race.threads]
    for name in dict.fromkeys(entry.name for entry in limited):
        console.print(f"{name} has no threads: it used one in every table.")
    for race in result.races:
        if (advice := stock_advice(race)) is not None:
            console.print(advice)
    if target(result.target).family != "c":
        console.print(
            f"The C was planned for {result.target} and compiled for this machine; another export "
            "with --target x86-64 plans for a PC."
        )


def stock_advice(race: Race) -> str | None:
    """One sentence where a stock runtime is faster than the C by more than `MOST_LOST`."""
    rivals = [entry for entry in race.entries if entry.ratio is not None]
    best = min(rivals, key=lambda e: e.ratio.median if e.ratio else math.inf, default=None)
    if best is None or best.ratio is None or best.ratio.median > 1 / (1 + MOST_LOST):
        return None
    count = f"{race.threads} thread{'s' if race.threads > 1 else ''}"
    return (
        f"With {count}, {best.version} takes {best.ratio.median:.2f} of the C's time here: "
        f"run {best.file} on this machine instead."
    )


def _table(race: Race) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column(f"{race.threads} thread{'s' if race.threads > 1 else ''}")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "file" else "right")
    for entry in race.entries:
        table.add_row(
            entry.version,
            entry.file,
            _spread(entry.time_us, " µs"),
            _ratio(entry),
            f"{entry.load_ms + entry.first_ms:.1f} ms",
            bytes_text(entry.peak_bytes),
            bytes_text(entry.runtime_bytes),
        )
    return table


def _ratio(entry: Entry) -> Text:
    if entry.ratio is None:
        return Text(UNKNOWN)
    return Text(_spread(entry.ratio), style="green" if entry.ratio.median > 1 else "red")


def _spread(spread: Spread, unit: str = "") -> str:
    digits = max(0, 2 - math.floor(math.log10(spread.median)))
    q1, median, q3 = (f"{q:,.{digits}f}" for q in (spread.q1, spread.median, spread.q3))
    return f"{median}{unit} ({q1}{UNKNOWN}{q3})"
