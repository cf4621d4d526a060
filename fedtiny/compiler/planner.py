"""From a lowered graph to a plan: each layer's kernel, the order of steps, every address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fedtiny.compiler import cost
from fedtiny.compiler.assemble import assemble
from fedtiny.compiler.check_plan import check_plan
from fedtiny.compiler.dataflow import dataflow, layer_nodes
from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.lifetimes import items, peak_time
from fedtiny.compiler.place_layouts import place_layouts
from fedtiny.compiler.plan import FEED, ExecutionPlan, Layer, Schedule, row_bytes, row_count
from fedtiny.compiler.schedule import rows_order, unroll
from fedtiny.devices.profiles import Target
from fedtiny.errors import UnsupportedError, UsageError, unknown_name
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel, RowContract

RamMode = Literal["min", "balanced", "speed"]
RAM_MODES: tuple[RamMode, ...] = ("min", "balanced", "speed")

BALANCED_EXTRA = 0.10
"""`balanced` takes the smallest arena that costs at most this share of instructions more."""

MAX_LAYERS = 0x3FF
MAX_INPUTS = 2
"""Limits of the runtime: layers of a model, activation inputs of a layer."""


@dataclass(frozen=True)
class _Option:
    """A kernel that can run a node."""

    kernel: Kernel
    contract: RowContract
    cost: float


def plan(
    graph: Graph, target: Target, ram: RamMode = "balanced", fed: bool = False
) -> ExecutionPlan:
    """Plan a lowered graph for a target.

    Args:
        graph: Verified, after every pass.
        target: What it is compiled for.
        ram: `"speed"` runs the fastest kernels layer by layer; `"min"` gives the smallest arena;
            `"balanced"` the smallest arena among plans with at most 10 % more predicted
            instructions than the fastest.
        fed: Rows of the one input arrive one call at a time instead of lying in the arena.

    Raises:
        UnsupportedError: A node has no kernel here, or the model exceeds a limit of the runtime.
        UsageError: `ram` is not a known mode.
    """
    if ram not in RAM_MODES:
        raise unknown_name("RAM mode", ram, RAM_MODES)
    _check_graph(graph, fed)
    if ram != "min" and not fed:  # planes are whole tensors: they do not stream
        graph = place_layouts(graph, target)
    nodes = layer_nodes(graph)
    options = [_options(node, graph, target) for node in nodes]
    schedules: tuple[Schedule, ...] = ("layers",) if ram == "speed" else ("layers", "rows")
    best: ExecutionPlan | None = None  # of equal arenas the first one: the fastest
    for choice in _choices(options, graph, ram, fed):
        layers = [_layer(*item, graph, target) for item in zip(nodes, choice, strict=True)]
        for schedule in schedules:
            draft = assemble(graph, target, layers, schedule, fed)
            if best is None or draft.arena_bytes < best.arena_bytes:
                best = draft
    assert best is not None
    check_plan(best)
    return best


def _check_graph(graph: Graph, fed: bool) -> None:
    graph.verify()
    nodes = layer_nodes(graph)
    if not nodes:
        raise UnsupportedError(f"model {graph.name!r} has no layer that computes anything")
    if len(nodes) >= MAX_LAYERS:
        raise UnsupportedError(
            f"model {graph.name!r} has {len(nodes)} layers; at most {MAX_LAYERS - 1} are supported"
        )
    if fed and len(graph.inputs) != 1:
        raise UsageError(
            f"model {graph.name!r} has {len(graph.inputs)} inputs; rows can be fed to one input"
        )
    for tensor in graph.activations():
        if not tensor.shape or tensor.shape[0] != 1 or tensor.size == 0:
            raise UnsupportedError(
                f"tensor {tensor.name!r} has shape {tensor.shape}; batch size 1 is supported"
            )
    used = {name for node in graph.nodes for name in node.inputs} | set(graph.outputs)
    for name in graph.inputs:
        if name not in used:
            raise UnsupportedError(f"input {name!r} of model {graph.name!r} is never read")


def _options(node: Node, graph: Graph, target: Target) -> tuple[_Option, ...]:
    kernels = table.candidates(node, graph, target.isa)
    activations = [name for name in node.inputs if graph[name].data is None]
    if not kernels or len(activations) > MAX_INPUTS:
        raise _unsupported(node, graph, target)
    costs = cost.compare(kernels, node, graph, target)
    return tuple(
        _Option(kernel, table.packing(kernel).contract(node, graph), price)
        for kernel, price in zip(kernels, costs, strict=True)
    )


def _unsupported(node: Node, graph: Graph, target: Target) -> UnsupportedError:
    dtype = graph[node.output].dtype
    ops = sorted({kernel.op for kernel in table.kernels()})
    dtypes = sorted({kernel.dtype for kernel in table.kernels() if kernel.op == node.op})
    what = f"node {node.name!r} ({node.op}, {dtype}) has no kernel for target {target.name!r}"
    if not dtypes:
        return UnsupportedError(f"{what}. Supported operators: {', '.join(ops)}.")
    if dtype not in dtypes:
        return UnsupportedError(f"{what}. {node.op} is supported in: {', '.join(dtypes)}.")
    shapes = ", ".join(f"{name} {graph[name].shape}" for name in (*node.inputs, node.output))
    return UnsupportedError(
        f"{what}: no {dtype} kernel of {node.op} accepts {node.attributes} with {shapes}."
    )


def _choices(
    options: Sequence[tuple[_Option, ...]], graph: Graph, ram: RamMode, fed: bool
) -> Iterator[tuple[_Option, ...]]:
    """Kernel choices worth planning, from the fastest to the one that needs least memory."""
    fastest = tuple(min(o, key=lambda x: (x.cost, x.kernel.reference)) for o in options)
    yield fastest
    if ram == "speed":
        return
    limit = float("inf") if ram == "min" else (1 + BALANCED_EXTRA) * _price(fastest)
    relieved = _relieved(options, fastest, graph, limit, fed)
    if relieved != fastest:
        yield relieved
    smallest = tuple(min(o, key=lambda x: _memory(x, graph)) for o in options)
    if smallest not in (fastest, relieved) and _price(smallest) <= limit:
        yield smallest


def _price(choice: Sequence[_Option]) -> float:
    return sum(option.cost for option in choice)


def _relieved(
    options: Sequence[tuple[_Option, ...]],
    fastest: Sequence[_Option],
    graph: Graph,
    limit: float,
    fed: bool,
) -> tuple[_Option, ...]:
    """Give the layer that runs at the peak a kernel that needs less, as long as that is affordable.

    Only that layer's scratch counts at the peak, so that no other layer has to become slower.
    """
    choice = list(fastest)
    while (index := _layer_at_peak(choice, graph, fed)) is not None:
        now = choice[index]
        rest = _price(choice) - now.cost
        smaller = [
            option
            for option in options[index]
            if _memory(option, graph)[0] < _memory(now, graph)[0] and rest + option.cost <= limit
        ]
        if not smaller:
            break
        choice[index] = min(smaller, key=lambda option: (option.cost, option.kernel.reference))
    return tuple(choice)


def _layer_at_peak(choice: Sequence[_Option], graph: Graph, fed: bool) -> int | None:
    """The layer that runs when streaming has most bytes alive; None when the input is arriving."""
    flow = dataflow(graph, [option.contract for option in choice])
    program = rows_order(flow, fed)
    step = peak_time(items(flow, program, fed)) // 2
    layer = list(unroll(program))[step] if step >= 0 else FEED
    return None if layer == FEED else layer


def _memory(option: _Option, graph: Graph) -> tuple[int, bool, float, bool]:
    """Bytes that one step needs at least, then what breaks ties."""
    contract = option.contract
    step_bytes = contract.scratch_bytes + contract.state_bytes
    for access in (*contract.inputs, contract.output):
        tensor = graph[access.tensor]
        rows = row_count(tensor)
        step_bytes += row_bytes(tensor) * (rows if access.flat else min(access.window, rows))
    return step_bytes, contract.overlap == "none", option.cost, option.kernel.reference


def _layer(node: Node, option: _Option, graph: Graph, target: Target) -> Layer:
    return Layer(
        node=node,
        kernel=option.kernel,
        contract=option.contract,
        packed=table.packing(option.kernel).pack(node, graph),
        instructions=cost.predict(option.kernel, node, graph, target),
    )
