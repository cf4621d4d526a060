"""From a lowered graph to a plan: each layer's kernel, the order of steps, every address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fedtiny.compiler import cost
from fedtiny.compiler.check_plan import check_plan
from fedtiny.compiler.dataflow import Dataflow, dataflow, layer_nodes
from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.lifetimes import Item, items, peak_bytes
from fedtiny.compiler.placement import place
from fedtiny.compiler.plan import (
    ExecutionPlan,
    Layer,
    Lifetime,
    Placement,
    Run,
    row_bytes,
    row_count,
)
from fedtiny.compiler.schedule import layers_order, rows_order
from fedtiny.devices.profiles import Target
from fedtiny.errors import UnsupportedError, UsageError, unknown_name
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel, Packed, RowContract

RamMode = Literal["min", "balanced", "speed"]
RAM_MODES: tuple[RamMode, ...] = ("min", "balanced", "speed")

BALANCED_EXTRA = 0.10
"""`balanced` takes the smallest arena that costs at most this share of instructions more."""

LEAST_ALIGNMENT = 8
"""Of rows, scratch, state and row pointers: 64-bit numbers and the pointers of a 64-bit host."""

MAX_LAYERS = 0x3FF
MAX_INPUTS = 2
MAX_TABLE = 0xFFFF
"""Limits of the runtime's tables."""


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
    nodes = layer_nodes(graph)
    options = [_options(node, graph, target) for node in nodes]
    best: ExecutionPlan | None = None
    for choice in _choices(options, ram):
        packed: list[Packed] | None = None
        for schedule in ("layers",) if ram == "speed" else ("rows", "layers"):
            draft = _draft(graph, target, nodes, choice, schedule, fed, packed)
            packed = [layer.packed for layer in draft.layers]
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


def _choices(options: Sequence[tuple[_Option, ...]], ram: RamMode) -> Iterator[tuple[_Option, ...]]:
    """Kernel choices worth planning: the fastest, and the one that needs least memory."""
    fastest = tuple(min(o, key=lambda x: (x.cost, x.kernel.reference)) for o in options)
    yield fastest
    if ram == "speed":
        return
    smallest = tuple(min(o, key=_memory) for o in options)
    limit = float("inf") if ram == "min" else 1 + BALANCED_EXTRA
    price = sum(option.cost for option in fastest)
    if smallest != fastest and sum(option.cost for option in smallest) <= limit * price:
        yield smallest


def _memory(option: _Option) -> tuple[int, bool, float, bool]:
    contract = option.contract
    working = contract.scratch_bytes + contract.state_bytes
    return working, contract.overlap == "none", option.cost, option.kernel.reference


def _draft(
    graph: Graph,
    target: Target,
    nodes: Sequence[Node],
    choice: Sequence[_Option],
    schedule: str,
    fed: bool,
    packed: list[Packed] | None,
) -> ExecutionPlan:
    """The plan for one choice of kernels and one order."""
    flow = dataflow(graph, [option.contract for option in choice])
    program = (rows_order if schedule == "rows" else layers_order)(flow, fed)
    found, offsets, shift = _placed(flow, program, target, fed)
    top = max(offset + item.size_bytes for item, offset in zip(found, offsets, strict=True))
    counters = _align(top, 2)
    pointers = _align(counters + 2 * (len(nodes) + 2), LEAST_ALIGNMENT)
    max_window = max(
        sum(access.window for access in (*option.contract.inputs, option.contract.output))
        for option in choice
    )
    fixed = 2 * (len(nodes) + 2) + max_window * target.pointer_bytes
    working = {
        (part.kind, part.owner): offset
        for item, offset in zip(found, offsets, strict=True)
        for part, _ in item.parts
        if part.kind in ("scratch", "state")
    }
    layers = tuple(
        Layer(
            node=node,
            kernel=option.kernel,
            contract=option.contract,
            packed=packed[i] if packed else table.packing(option.kernel).pack(node, graph),
            instructions=cost.predict(option.kernel, node, graph, target),
            scratch_offset=working.get(("scratch", i)),
            state_offset=working.get(("state", i)),
        )
        for i, (node, option) in enumerate(zip(nodes, choice, strict=True))
    )
    result = ExecutionPlan(
        graph=graph,
        target=target,
        schedule=schedule,
        fed=fed,
        layers=layers,
        placements=_placements(graph, flow, choice, found, offsets),
        program=program,
        arena_bytes=pointers + max_window * target.pointer_bytes,
        arena_bound_bytes=peak_bytes(found) + fixed,
        arena_alignment=_alignment(target, shift),
        address_shift=shift,
        counters_offset=counters,
        pointers_offset=pointers,
        max_window=max_window,
        lifetimes=_lifetimes(flow, found, offsets),
    )
    _check_limits(result)
    return result


def _placed(
    flow: Dataflow, program: Sequence[Run], target: Target, fed: bool
) -> tuple[tuple[Item, ...], tuple[int, ...], int]:
    """Items, their offsets, and the address shift that an arena of that size needs."""
    elementwise = any(layer.overlap == "same_address" for layer in flow.layers)
    best: tuple[int, tuple[Item, ...], tuple[int, ...], int] | None = None
    for in_place in (0, 1) if elementwise else (None,):
        found = items(flow, program, fed, in_place)
        shift = 0
        while True:
            offsets, top = place(found, _alignment(target, shift))
            if top <= (MAX_TABLE + 1) << shift:
                break
            shift += 1
        if best is None or top < best[0]:
            best = top, found, offsets, shift
    assert best is not None
    return best[1:]


def _alignment(target: Target, shift: int) -> int:
    return max(target.alignment, LEAST_ALIGNMENT, 1 << shift)


def _align(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) & -alignment


def _placements(
    graph: Graph,
    flow: Dataflow,
    choice: Sequence[_Option],
    found: Sequence[Item],
    offsets: Sequence[int],
) -> tuple[Placement, ...]:
    """Every view that a layer, an input or an output names: inputs, layer outputs, other views."""
    where = {
        part: offset for item, offset in zip(found, offsets, strict=True) for part, _ in item.parts
    }
    rows = {(part.owner, part.row): at for part, at in where.items() if part.kind == "row"}
    blocks = {part.owner: at for part, at in where.items() if part.kind == "storage"}
    accesses = [a for o in choice for a in (*o.contract.inputs, o.contract.output)]
    views = {
        (name, False): None for name in (*graph.inputs, *(n.output for n in layer_nodes(graph)))
    }
    views |= {(a.tensor, a.flat and row_count(graph[a.tensor]) > 1): None for a in accesses}
    views |= {(name, False): None for name in graph.outputs}
    placements = []
    for name, flat in views:
        tensor, storage = graph[name], flow.views[name]
        count = 1 if flat else row_count(tensor)
        size = row_bytes(tensor) * (row_count(tensor) if flat else 1)
        if storage in blocks:
            places = tuple(blocks[storage] + row * size for row in range(count))
        else:
            places = tuple(rows[storage, row] for row in range(count))
        placements.append(Placement(name, size, places, flat))
    return tuple(placements)


def _lifetimes(
    flow: Dataflow, found: Sequence[Item], offsets: Sequence[int]
) -> tuple[Lifetime, ...]:
    lifetimes = []
    for item, offset in zip(found, offsets, strict=True):
        for part, (born, dies) in item.parts:
            if part.kind in ("scratch", "state"):
                name = f"{flow.layers[part.owner].name} {part.kind}"
            elif part.kind == "storage":
                name = flow.storages[part.owner].tensor
            else:
                name = f"{flow.storages[part.owner].tensor}[{part.row}]"
            span = max(born, 0) // 2, max((dies + 1) // 2, 1)
            lifetimes.append(Lifetime(name, offset, item.size_bytes, *span))
    return tuple(lifetimes)


def _check_limits(result: ExecutionPlan) -> None:
    """Refuse what the runtime's tables cannot hold."""
    model = result.graph.name
    counts = {
        "rows": sum(len(item.offsets) for item in result.placements),
        "program entries": len(result.program),
        "row pointers": result.max_window,
    }
    for what, count in counts.items():
        if count > MAX_TABLE:
            raise UnsupportedError(
                f"model {model!r} needs {count} {what}; the limit is {MAX_TABLE}"
            )
    unit = 1 << result.address_shift
    for item in result.placements:
        if any(offset % unit for offset in item.offsets):
            raise UnsupportedError(
                f"tensor {item.tensor!r} must be contiguous, but its rows of {item.row_bytes} "
                f"bytes are no multiple of {unit}, the unit of addresses in an arena of "
                f"{result.arena_bytes} bytes"
            )
