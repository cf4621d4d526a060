"""What would fit a device, found by really compiling it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedtiny.compiler.compile import Compiled, compile_graph
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.serialize import tables
from fedtiny.devices.profiles import DeviceProfile
from fedtiny.devices.runner import BuildInfo, make_runner
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
        compiled: What is deployed.
        device: The board whose budgets apply, if one was named.
        pruned: Makes the final graph at another density.
        dtype: How weights are stored.
        io: What the application exchanges with the program.
    """

    source: Source
    before: Graph | None
    real: Graph | None
    compiled: Compiled
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
    whole, plan = export.compiled.whole, export.compiled.plan

    def compiled(graph: Graph) -> Compiled:
        return compile_graph(graph, plan.target, device=export.device, fed=plan.fed)

    if _fits(compiled(whole), report):
        return "it fits with --ram balanced"
    for density in DENSITIES:
        if density >= report.model.density:
            continue
        if _fits(compiled(export.pruned(density)), report):
            return f"it fits with --density {density}"
    return "no density fits: use a smaller input or fewer channels"


def _fits(compiled: Compiled, report: DeploymentReport) -> bool:
    """Whether another plan of the model fits, linked for its target where the first one was."""
    candidate = compiled.plan
    totals = build.planned_totals(candidate, len(tables(candidate).constants))
    totals = replace(
        totals,
        stack_bytes=report.totals.stack_bytes,
        stack_bound_bytes=report.totals.stack_bound_bytes,
    )
    trial = replace(
        report,
        model=build.describe_model(report.model.name, report.model.sha256, compiled),
        layers=build.describe_layers(candidate),
        totals=totals,
        arena=build.describe_arena(candidate),
    )
    if not budget.check(build.with_latency(trial)).fits:
        return False
    if report.totals.code_bytes is None:
        return True
    linked = replace(trial, totals=build.with_build(totals, _link(candidate)))
    return bool(budget.check(build.with_latency(linked)).fits)


def _link(candidate: ExecutionPlan) -> BuildInfo:
    from fedtiny.exporters import c

    runner = make_runner(candidate.target.runner, candidate.target)
    with tempfile.TemporaryDirectory(prefix="fedtiny-") as folder:
        source = c.write(candidate, Path(folder))
        return runner.build(source, Path(folder))
