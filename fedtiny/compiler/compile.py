"""From a quantized or lowered graph to what is deployed: dead channels dropped, then planned."""

from __future__ import annotations

from dataclasses import dataclass

from fedtiny.compiler import cost, planner
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.passes import narrow_channels
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.planner import Optimize, PlanPoint, RamMode, plan
from fedtiny.compiler.serialize import tables
from fedtiny.devices.profiles import DeviceProfile, Target

WIDTHS = (1, 4)
"""Multiples of channels that are tried: some kernels are faster on four channels at a time."""


@dataclass(frozen=True)
class Compiled:
    """A model as it is deployed.

    Attributes:
        whole: The graph as it was given: the model that reports describe.
        graph: Without dead channels: what model files hold.
        plan: Of `graph`; its own graph has memory layouts too.
    """

    whole: Graph
    graph: Graph
    plan: ExecutionPlan


def compile_graph(
    whole: Graph,
    target: Target,
    ram: RamMode = "balanced",
    device: DeviceProfile | None = None,
    fed: bool = False,
    optimize: Optimize = "speed",
) -> Compiled:
    """Drop dead channels and plan; of several widths, the best plan by what is asked for.

    Args:
        whole: Float32, lowered, or int8.
        target: As for `plan`.
        ram: As for `plan`; `"min"` compares arenas, the others what `optimize` says.
        device: As for `plan`; plans that fit it come first.
        fed: As for `plan`.
        optimize: As for `plan`; `"size"` compares constants, else predicted instructions.

    Raises:
        UnsupportedError: As for `plan`.
        UsageError: As for `plan`.
    """
    graphs = _narrowed(whole)
    made = [
        Compiled(whole, graph, plan(graph, target, ram, fed, device, optimize)) for graph in graphs
    ]
    if len(made) == 1:
        return made[0]
    return min(made, key=lambda item: _rank(item.plan, ram, device, optimize))


def curve(whole: Graph, target: Target, fed: bool = False) -> tuple[PlanPoint, ...]:
    """What less memory costs in instructions, of every width that is tried.

    Args:
        whole: As for `compile_graph`.
        target: As for `plan`.
        fed: As for `plan`.

    Raises:
        UnsupportedError: As for `plan`.
    """
    found = [point for graph in _narrowed(whole) for point in planner.curve(graph, target, fed)]
    kept: list[PlanPoint] = []
    for point in sorted(found, key=lambda p: (p.instructions or 0.0, p.plan.arena_bytes)):
        if not kept or point.plan.arena_bytes < kept[-1].plan.arena_bytes:
            kept.append(point)
    return tuple(kept)


def _narrowed(whole: Graph) -> list[Graph]:
    """The graph without dead channels, in every width that is tried."""
    graphs: list[Graph] = []
    for multiple in WIDTHS:
        graph = narrow_channels(whole, multiple)
        if all(_widths(graph) != _widths(other) for other in graphs):
            graphs.append(graph)
    return graphs


def _widths(graph: Graph) -> list[tuple[int, ...]]:
    return [tensor.shape for tensor in graph.activations()]


def _rank(
    made: ExecutionPlan, ram: RamMode, device: DeviceProfile | None, optimize: Optimize
) -> tuple[bool, float, int]:
    constants = len(tables(made).constants)
    misfit = device is not None and (
        made.arena_bytes > (device.sram_bytes or made.arena_bytes)
        or constants > (device.flash_bytes or constants)
    )
    known = [layer.instructions for layer in made.layers if layer.instructions is not None]
    instructions = sum(known) + cost.executor(made) if len(known) == len(made.layers) else 0.0
    if ram == "min":
        return misfit, float(made.arena_bytes), constants
    return misfit, instructions if optimize == "speed" else 0.0, constants
