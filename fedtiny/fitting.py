"""What would fit a device, found by really compiling it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.planner import plan
from fedtiny.compiler.serialize import tables
from fedtiny.devices.profiles import DeviceProfile
from fedtiny.report import budget, build
from fedtiny.report.model import DeploymentReport

if TYPE_CHECKING:
    from fedtiny.exporters.format import DType, Io
    from fedtiny.source import Source

DENSITIES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class Export:
    """Everything that an export folder is made from.

    Attributes:
        source: The model as it was opened.
        before: The graph before pruning at export; None when nothing is pruned there.
        real: The float graph that was quantized or planned; None for a model that came as int8.
        graph: The final graph: what model files hold.
        plan: Its plan.
        device: The board whose budgets apply, if one was named.
        pruned: Makes the final graph at another density.
        dtype: How weights are stored.
        io: What the application exchanges with the program.
    """

    source: Source
    before: Graph | None
    real: Graph | None
    graph: Graph
    plan: ExecutionPlan
    device: DeviceProfile | None
    pruned: Callable[[float], Graph]
    dtype: DType
    io: Io


def hint(export: Export, report: DeploymentReport) -> str:
    """Say what would fit, for a model that does not.

    Args:
        export: The model that does not fit.
        report: Its report, with the budgets that it exceeds.
    """
    smaller = plan(export.graph, export.plan.target, "min")
    if _fits(smaller, report):
        return "it fits with --ram min"
    for density in DENSITIES:
        if density >= report.model.density:
            continue
        if _fits(plan(export.pruned(density), export.plan.target, "min"), report):
            return f"it fits with --density {density} --ram min"
    return "no density fits: use a smaller input or fewer channels"


def _fits(candidate: ExecutionPlan, report: DeploymentReport) -> bool:
    """Whether another plan of the model fits; code and stack count as in the first one."""
    graph = candidate.graph
    planned = build.planned_totals(candidate, len(tables(candidate).constants))
    old = report.totals
    flash = planned.weights_bytes
    if flash is not None and old.code_bytes is not None:
        flash = replace(flash, value=flash.value + old.code_bytes.value)
    totals = replace(planned, flash_bytes=flash, stack_bytes=old.stack_bytes)
    trial = replace(
        report,
        model=build.describe_model(report.model.name, report.model.sha256, graph),
        layers=build.describe_layers(candidate),
        totals=totals,
        arena=build.describe_arena(candidate),
    )
    return bool(budget.check(build.with_latency(trial)).fits)
