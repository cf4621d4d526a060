"""Order the steps of chosen layers and give everything they touch an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from fedtiny.compiler.dataflow import Dataflow, dataflow
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.lifetimes import Item, bound_bytes, items
from fedtiny.compiler.placement import place
from fedtiny.compiler.plan import (
    FEED,
    ExecutionPlan,
    Layer,
    Lifetime,
    Placement,
    Run,
    Schedule,
    row_bytes,
    row_count,
)
from fedtiny.compiler.schedule import Stages, layers_order, rows_order
from fedtiny.devices.profiles import Target
from fedtiny.errors import UnsupportedError

LEAST_ALIGNMENT = 4
"""Of rows, scratch and state: what kernels keep there are numbers of at most four bytes."""

POINTER_ALIGNMENT = 8
"""Of the arena and the row pointers, so that the same plan runs on a 64-bit host."""

COUNTER_BYTES = 2
"""Of one counter; two more are the program's."""

MAX_TABLE = 0xFFFF
"""Limit of the runtime's 16-bit table indices and addresses."""


def assemble(
    graph: Graph,
    target: Target,
    layers: Sequence[Layer],
    schedule: Schedule | Stages,
    fed: bool = False,
) -> ExecutionPlan:
    """Make a plan from layers whose kernels are chosen.

    The arena holds rows, scratch and state, then the executor's counters and row pointers. The
    pointers of the widest step end the arena and are all written, so that the highest byte touched
    is known exactly.

    Args:
        graph: The graph.
        target: What it is compiled for.
        layers: One for every node but reshapes, in order; their offsets are filled in.
        schedule: Order of the steps: layer by layer, in the stages of the smallest peak, or in
            given stages.
        fed: Rows of the one input arrive one call at a time.

    Raises:
        UnsupportedError: The model exceeds a limit of the runtime's tables.
    """
    contracts = [layer.contract for layer in layers]
    flow = dataflow(graph, contracts)
    if schedule == "layers":
        program = layers_order(flow, fed)
    elif schedule == "rows":
        program = rows_order(flow, fed)
    else:
        program = rows_order(flow, fed, schedule)
        schedule = "layers" if len(schedule) == len(layers) else "rows"
    found, offsets, shift = _placed(flow, program, target, fed)
    top = max(offset + item.size_bytes for item, offset in zip(found, offsets, strict=True))
    counters = _align(top, COUNTER_BYTES)
    slots = counters_of(program, [layer.steps for layer in flow.layers])
    counters_bytes = COUNTER_BYTES * (max(slots) + 3)
    pointers = _align(counters + counters_bytes, POINTER_ALIGNMENT)
    bound = bound_bytes(found, _alignment(target, shift))
    least = _align(_align(bound, COUNTER_BYTES) + counters_bytes, POINTER_ALIGNMENT)
    max_window = max(
        sum(1 if access.flat else access.window for access in (*c.inputs, c.output))
        for c in contracts
    )
    pointers_bytes = max_window * target.pointer_bytes
    working = {
        (part.kind, part.owner): offset
        for item, offset in zip(found, offsets, strict=True)
        for part, _ in item.parts
    }
    result = ExecutionPlan(
        graph=graph,
        target=target,
        schedule=schedule,
        fed=fed,
        layers=tuple(
            replace(
                layer,
                scratch_offset=working.get(("scratch", index)),
                state_offset=working.get(("state", index)),
                counter=slots[index],
            )
            for index, layer in enumerate(layers)
        ),
        placements=_placements(graph, flow, layers, found, offsets),
        program=program,
        arena_bytes=pointers + pointers_bytes,
        arena_bound_bytes=least + pointers_bytes,
        arena_alignment=max(POINTER_ALIGNMENT, _alignment(target, shift)),
        address_shift=shift,
        counters_offset=counters,
        pointers_offset=pointers,
        max_window=max_window,
        lifetimes=_lifetimes(flow, found, offsets),
    )
    _check_limits(result)
    return result


def counters_of(program: Sequence[Run], steps: Sequence[int]) -> list[int]:
    """By layer, the first counter that no layer uses while it is under way.

    Args:
        program: The order of the steps.
        steps: By layer, its steps.
    """
    found = [-1] * len(steps)
    left = list(steps)
    busy: set[int] = set()
    for run in program:
        if run.layer == FEED:
            continue
        if found[run.layer] < 0:
            found[run.layer] = next(slot for slot in count() if slot not in busy)
            busy.add(found[run.layer])
        left[run.layer] -= run.count
        if not left[run.layer]:
            busy.remove(found[run.layer])
    return found


def _placed(
    flow: Dataflow, program: Sequence[Run], target: Target, fed: bool
) -> tuple[tuple[Item, ...], tuple[int, ...], int]:
    """Items, their offsets, and the address shift that an arena of that size needs."""
    elementwise = any(layer.overlap == "same_address" for layer in flow.layers)
    best: tuple[int, tuple[Item, ...], tuple[int, ...], int] | None = None
    for in_place in (0, 1) if elementwise else (None,):
        found = items(flow, program, fed, in_place)
        if best is not None and found == best[1]:
            continue
        # No placement is below the liveness bound, so that smaller shifts need not be tried.
        bound, shift = bound_bytes(found, _alignment(target, 0)), 0
        while bound > (MAX_TABLE + 1) << shift:
            shift += 1
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
    layers: Sequence[Layer],
    found: Sequence[Item],
    offsets: Sequence[int],
) -> tuple[Placement, ...]:
    """Every view that a layer, an input or an output names: inputs, layer outputs, other views."""
    where = {
        part: offset for item, offset in zip(found, offsets, strict=True) for part, _ in item.parts
    }
    rows = {(part.owner, part.row): at for part, at in where.items() if part.kind == "row"}
    blocks = {part.owner: at for part, at in where.items() if part.kind == "storage"}
    blocks |= {s: at for (s, _), at in rows.items() if flow.storages[s].contiguous}
    accesses = [a for x in layers for a in (*x.contract.inputs, x.contract.output)]
    views = {(name, False): None for name in (*graph.inputs, *(x.node.output for x in layers))}
    views |= {(a.tensor, a.flat and row_count(graph[a.tensor]) > 1): None for a in accesses}
    views |= {(name, False): None for name in graph.outputs}
    placements = []
    for name, flat in views:
        tensor, storage = graph[name], flow.views[name]
        rows_of_view = 1 if flat else row_count(tensor)
        size = row_bytes(tensor) * (row_count(tensor) if flat else 1)
        if storage in blocks:
            places = tuple(blocks[storage] + row * size for row in range(rows_of_view))
        else:
            places = tuple(rows[storage, row] for row in range(rows_of_view))
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
    for what, number in counts.items():
        if number > MAX_TABLE:
            raise UnsupportedError(
                f"model {model!r} needs {number} {what}; the limit is {MAX_TABLE}"
            )
    unit = 1 << result.address_shift
    for item in result.placements:
        if any(offset % unit for offset in item.offsets):
            raise UnsupportedError(
                f"tensor {item.tensor!r} must be contiguous, but its rows of {item.row_bytes} "
                f"bytes are no multiple of {unit}, the unit of addresses in an arena of "
                f"{result.arena_bytes} bytes"
            )
