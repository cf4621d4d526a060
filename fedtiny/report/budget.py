"""Does it fit the device, and if not, what is too big and by how much."""

from __future__ import annotations

from collections.abc import Callable

from fedtiny.report.model import (
    Budget,
    BudgetFailure,
    DeploymentReport,
    Figure,
    LayerReport,
    Number,
)


def check(report: DeploymentReport, hint: str | None = None) -> Budget:
    """Compare a report's figures with its device's budgets.

    Args:
        report: With as many figures as are known; unknown ones count as nothing.
        hint: What would fit, if that is known.
    """
    device = report.device
    if device is None:
        return Budget()
    totals = report.totals
    ram = sum(map(_value, (totals.arena_bytes, totals.stack, totals.static_ram_bytes)))
    flash = _value(totals.flash_bytes) or _value(totals.weights_bytes)
    needs: list[tuple[str, Number, Number | None, str]] = [
        ("flash_bytes", flash, device.flash_bytes, _largest(report, _flash)),
        ("sram_bytes", ram, device.sram_bytes, _largest_buffer(report)),
        (
            "latency_ms",
            _value(totals.latency_ms),
            device.max_latency_ms,
            _largest(report, _instructions),
        ),
        ("macs", report.model.macs_nonzero, device.max_macs, _largest(report, _macs)),
    ]
    failures = tuple(
        BudgetFailure(what, limit, value, where, hint)
        for what, value, limit, where in needs
        if limit is not None and value > limit
    )
    return Budget(fits=not failures, failures=failures)


def _value(figure: Figure | None) -> Number:
    return 0 if figure is None else figure.value


def _flash(layer: LayerReport) -> Number:
    return _value(layer.flash_bytes)


def _instructions(layer: LayerReport) -> Number:
    return _value(layer.instructions) or layer.macs_nonzero


def _macs(layer: LayerReport) -> Number:
    return layer.macs_nonzero


def _largest(report: DeploymentReport, size: Callable[[LayerReport], Number]) -> str:
    layer = max(report.layers, key=size)
    return f"layer {layer.name!r} ({size(layer):,})"


def _largest_buffer(report: DeploymentReport) -> str:
    """The tensor (or scratch) with most bytes at the moment when most of the arena is alive."""
    items = report.arena.items if report.arena else ()
    if not items:
        return "the arena"
    moments = {item.born for item in items}
    alive = {
        moment: [item for item in items if item.born <= moment < item.dies] for moment in moments
    }
    busiest = max(alive, key=lambda moment: (sum(i.size_bytes for i in alive[moment]), -moment))
    sizes: dict[str, int] = {}
    for item in alive[busiest]:
        name = item.name.split("[")[0]
        sizes[name] = sizes.get(name, 0) + item.size_bytes
    name = max(sizes, key=lambda key: sizes[key])
    return f"buffer {name!r} ({sizes[name]:,} bytes)"
