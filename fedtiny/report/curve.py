"""What less memory costs in instructions, for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fedtiny.report.units import bytes_text, count_text, percent_text

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class RamPoint:
    """One plan of a model.

    Attributes:
        arena_bytes: Of its arena.
        bound_bytes: No placement of its schedule can be smaller.
        gap: By what share the arena is larger than that.
        schedule: `"layers"` or `"rows"`.
        instructions: Of one inference, estimated; None without coefficients for the target.
        extra: Share of instructions more than the fastest plan's.
    """

    arena_bytes: int
    bound_bytes: int
    gap: float
    schedule: Literal["layers", "rows"]
    instructions: int | None
    extra: float | None


@dataclass(frozen=True)
class RamCurve:
    """Plans of a model from the fastest to the smallest, none worse than another in both ways.

    Attributes:
        model: Its name.
        target: What it is compiled for.
        sram_bytes: The device's; None without one.
        points: The plans.
    """

    model: str
    target: str
    sram_bytes: int | None
    points: tuple[RamPoint, ...]


def print_curve(curve: RamCurve, console: Console) -> None:
    """Print a table."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for name in ("arena", "least", "above it", "order", "instructions", "more"):
        table.add_column(name, justify="left" if name == "order" else "right")
    for point in curve.points:
        over = curve.sram_bytes is not None and point.arena_bytes > curve.sram_bytes
        table.add_row(
            bytes_text(point.arena_bytes),
            bytes_text(point.bound_bytes),
            percent_text(point.gap),
            "row by row" if point.schedule == "rows" else "layer by layer",
            count_text(point.instructions),
            percent_text(point.extra),
            style="red" if over else None,
        )
    place = "" if curve.sram_bytes is None else f", SRAM {bytes_text(curve.sram_bytes)}"
    console.print(f"{curve.model} → {curve.target}{place}; instructions are estimated")
    console.print(table)
