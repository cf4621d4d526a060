"""From a lowered graph to a plan: each layer's kernel, the order of steps, every address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import inf
from typing import Literal

from fedtiny.compiler import cost as cost_model
from fedtiny.compiler.assemble import assemble
from fedtiny.compiler.check_plan import check_plan
from fedtiny.compiler.dataflow import layer_nodes
from fedtiny.compiler.flash import Flash, trade_flash, within_budgets
from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.place_layouts import place_layouts
from fedtiny.compiler.plan import ExecutionPlan, Layer
from fedtiny.compiler.selection import Option, Selection, Selector
from fedtiny.devices.profiles import DeviceProfile, Target
from fedtiny.errors import UnsupportedError, UsageError, unknown_name
from fedtiny.runtime import table
from fedtiny.runtime.contract import Packed

RamMode = Literal["min", "balanced", "speed"]
RAM_MODES: tuple[RamMode, ...] = ("min", "balanced", "speed")
Optimize = Literal["speed", "size"]
OPTIMIZE: tuple[Optimize, ...] = ("speed", "size")

BALANCED_EXTRA = 0.10
"""`balanced` takes the smallest arena that costs at most this share of instructions more."""

BYTE_INSTRUCTIONS = 10.0
FLASH_EXTRA = 0.05
"""Then kernels and formats of fewer bytes, each byte worth so many instructions of an inference,
and all together costing at most this share more."""

SIZE_BYTE_INSTRUCTIONS = 1000.0
"""What a byte of flash is worth where size is optimized, without a limit of instructions."""

MAX_LAYERS = 0x3FF
MAX_INPUTS = 2
"""Limits of the runtime: layers of a model, activation inputs of a layer."""


STACK_RESERVE_BYTES = 2048
"""Of a device's SRAM, left to the stack and static data, which are known only after a build."""

CODE_RESERVE_BYTES = 4096
"""Flash that a device needs beside constants and kernels: the executor and its tables."""

UNKNOWN_CODE_BYTES = 8192
"""Of kernels together, where nobody measured them for the target."""

MOST_RETRIES = 8
"""How often a smaller arena is sought with fewer instructions allowed."""

RESOLUTION = 256
"""Where a selection does not place within the SRAM, the next is sought this fraction below it."""

_UNPACKED = Packed({})


@dataclass(frozen=True)
class PlanPoint:
    """One point of the trade between memory and instructions.

    Attributes:
        plan: The plan.
        instructions: Estimated, kernels and executor; None without coefficients for the target.
    """

    plan: ExecutionPlan
    instructions: float | None


def plan(
    graph: Graph,
    target: Target,
    ram: RamMode = "balanced",
    fed: bool = False,
    device: DeviceProfile | None = None,
    optimize: Optimize = "speed",
) -> ExecutionPlan:
    """Plan a lowered graph for a target.

    Args:
        graph: Verified, after every pass.
        target: What it is compiled for.
        ram: `"speed"` runs the fastest kernels layer by layer; `"min"` gives the smallest arena;
            `"balanced"` the smallest arena among plans with at most 10 % more predicted
            instructions than the fastest, then formats of fewer bytes where they cost few
            instructions; or, where a device is given, the plan with the fewest instructions that
            fits its SRAM and flash.
        fed: Rows of the one input arrive one call at a time instead of lying in the arena.
        device: The board, for `"balanced"`. Where its SRAM is too small, the smallest arena is
            planned; where its flash is, the plan that it would have been without a device.
        optimize: `"size"` then takes kernels and formats of fewer bytes of flash in the same
            memory, a byte being worth `SIZE_BYTE_INSTRUCTIONS`.

    Raises:
        UnsupportedError: A node has no kernel here, or the model exceeds a limit of the runtime.
        UsageError: `ram` or `optimize` is not known.
    """
    if ram not in RAM_MODES:
        raise unknown_name("RAM mode", ram, RAM_MODES)
    if optimize not in OPTIMIZE:
        raise unknown_name("optimization", optimize, OPTIMIZE)

    def rows() -> _Planner:
        return _Planner(graph, target, fed)

    # Planes are whole tensors: they do not stream.
    planner = _Planner(graph, target, fed, planes=ram != "min" and not fed)
    found = planner.found(ram, device)
    if found is None and planner.graph is not graph:
        planner = rows()
        found = planner.found(ram, device)
    if found is None:
        assert device is not None
        found = planner.nearest(device)
    if optimize == "size":
        most = _most_instructions(device, target)
        found = planner.leaner(*found, most)
        if planner.graph is not graph:  # maps' rows have formats of fewer bytes than planes
            other = rows()
            small = other.found(ram, device)
            if small is not None:
                small = other.leaner(*small, most)
                fits = small[0].arena_bytes <= found[0].arena_bytes
                if fits and other.price(*small) < planner.price(*found):
                    planner, found = other, small
    result = planner.packed(found[0])
    check_plan(result)
    return result


def curve(graph: Graph, target: Target, fed: bool = False) -> tuple[PlanPoint, ...]:
    """What less memory costs in instructions: plans from the fastest to the smallest.

    Every point is placed; none is worse than another in both figures.

    Args:
        graph: As for `plan`.
        target: As for `plan`.
        fed: As for `plan`.

    Raises:
        UnsupportedError: As for `plan`.
    """
    planners = [_Planner(graph, target, fed)]
    whole = None if fed else _Planner(graph, target, fed, planes=True)
    if whole is not None and whole.graph is not graph:
        planners.append(whole)
    drafts = [
        (planner.instructions(draft), draft.arena_bytes, planner, draft)
        for planner in planners
        for draft in map(planner.draft, planner.selector.curve())
    ]
    points: list[PlanPoint] = []
    for instructions, arena_bytes, planner, draft in sorted(drafts, key=lambda item: item[:2]):
        if points and arena_bytes >= points[-1].plan.arena_bytes:
            continue
        known = all(layer.instructions is not None for layer in draft.layers)
        check_plan(draft)
        points.append(PlanPoint(planner.packed(draft), instructions if known else None))
    return tuple(points)


Drafted = tuple[ExecutionPlan, Selection]
"""A plan without constants, and what it is the plan of."""


class _Planner:
    """One graph's options, and plans of selections of them."""

    def __init__(self, graph: Graph, target: Target, fed: bool, planes: bool = False) -> None:
        _check_graph(graph, fed)
        if planes:
            graph = place_layouts(graph, target)
        self.graph, self.target, self.fed = graph, target, fed
        self.nodes = layer_nodes(graph)
        self.options = [_options(node, graph, target) for node in self.nodes]
        self.selector = Selector(graph, self.options, fed)

    def draft(self, selection: Selection) -> ExecutionPlan:
        """The plan of a selection, without constants."""
        layers = [
            Layer(node, option.kernel, option.contract, _UNPACKED, option.instructions)
            for node, option in zip(self.nodes, self.chosen(selection), strict=True)
        ]
        return assemble(self.graph, self.target, layers, selection.split, self.fed)

    def chosen(self, selection: Selection) -> list[Option]:
        """The options of a selection."""
        return [layer[k] for layer, k in zip(self.options, selection.choice, strict=True)]

    def packed(self, draft: ExecutionPlan) -> ExecutionPlan:
        """A plan with the constants of its layers."""
        layers = (
            replace(layer, packed=table.packing(layer.kernel).pack(layer.node, self.graph))
            for layer in draft.layers
        )
        return replace(draft, layers=tuple(layers))

    def instructions(self, draft: ExecutionPlan) -> float:
        """What plans are compared by: kernels and executor."""
        by_kernel = [{o.kernel.name: o.cost for o in options} for options in self.options]
        cost = sum(
            known[layer.kernel.name] for known, layer in zip(by_kernel, draft.layers, strict=True)
        )
        return cost + cost_model.program(draft)

    def drafted(self, selection: Selection) -> Drafted:
        """The plan of a selection, with the selection."""
        return self.draft(selection), selection

    def found(self, ram: RamMode, device: DeviceProfile | None) -> Drafted | None:
        """The plan of a mode; None where a device is given that it does not fit."""
        if ram == "speed":
            return self.drafted(self.selector.fastest)
        if ram == "min":
            return self.smallest(inf)
        return self.balanced() if device is None else self.fitting(device)

    def price(self, draft: ExecutionPlan, selection: Selection) -> float:
        """What size is optimized by: instructions, and flash at its price in them."""
        flash = self.flash.total(selection.choice)
        return self.instructions(draft) + SIZE_BYTE_INSTRUCTIONS * flash

    def smallest(self, limit: float) -> Drafted:
        """The smallest arena found within a limit of instructions.

        What the executor takes for a selection is only known when it is planned.
        """
        chosen = self.selector.fastest
        best, allowed = self.draft(chosen), limit
        for _ in range(MOST_RETRIES):
            excess = inf
            for selection in self.selector.smallest(allowed):
                draft = self.draft(selection)
                excess = min(excess, self.instructions(draft) - limit)
                if draft.arena_bytes < best.arena_bytes and self.instructions(draft) <= limit:
                    best, chosen = draft, selection
                if best.arena_bytes == best.arena_bound_bytes:
                    break
            if excess <= 0 or excess == inf:
                break
            allowed -= excess + 1
        return best, chosen

    def balanced(self) -> Drafted:
        """The smallest arena near the fewest instructions, then less flash near that."""
        fastest = self.draft(self.selector.fastest)
        draft, selection = self.smallest((1 + BALANCED_EXTRA) * self.instructions(fastest))
        most = (1 + FLASH_EXTRA) * selection.cost
        found = trade_flash(self.selector, selection, self.flash, BYTE_INSTRUCTIONS, most)
        lean = self.drafted(found)
        return lean if lean[0].arena_bytes <= draft.arena_bytes else (draft, selection)

    def leaner(self, draft: ExecutionPlan, selection: Selection, most: float) -> Drafted:
        """The same stages in the same memory with less flash, as far as it is worth it.

        Args:
            draft: The plan.
            selection: What it is the plan of.
            most: Instructions that a device has time for.
        """
        allowed = max(selection.cost, most - cost_model.program(draft))
        found = trade_flash(self.selector, selection, self.flash, SIZE_BYTE_INSTRUCTIONS, allowed)
        lean = self.drafted(found)
        return lean if lean[0].arena_bytes <= draft.arena_bytes else (draft, selection)

    def nearest(self, device: DeviceProfile) -> Drafted:
        """What to plan where nothing fits a device; its report says what is exceeded."""
        smallest = self.smallest(inf)
        fits = smallest[0].arena_bytes <= device.sram_bytes - STACK_RESERVE_BYTES
        return self.balanced() if fits else smallest

    def fitting(self, device: DeviceProfile) -> Drafted | None:
        """The fewest instructions within a device's SRAM and flash; None where nothing fits."""
        if device.flash_bytes is None:
            return self.within(device.sram_bytes, None)
        known = any(table.code(kernel, self.target.cost) for kernel in table.kernels())
        reserve = CODE_RESERVE_BYTES + (0 if known else UNKNOWN_CODE_BYTES)
        room = self.within(device.sram_bytes, device.flash_bytes - reserve)
        return self.within(device.sram_bytes, device.flash_bytes) if room is None else room

    def within(self, sram_bytes: int, flash_bytes: int | None) -> Drafted | None:
        """The fewest instructions within memory and room for constants and kernels."""
        sram = sram_bytes - STACK_RESERVE_BYTES
        limit = sram
        while True:
            if flash_bytes is None:
                found = self.selector.under(limit)
            else:
                found = within_budgets(self.selector, limit, self.flash, flash_bytes)
            if found is None:
                return None
            draft = self.drafted(found)
            if draft[0].arena_bytes <= sram:
                return draft if limit == sram else self._cheaper(draft, sram, flash_bytes)
            limit = min(limit, found.peak_bytes) - max(1, sram // RESOLUTION)

    def _cheaper(self, draft: Drafted, sram: int, flash_bytes: int | None) -> Drafted:
        """A point of the curve that places where cheaper ones than the draft had gaps."""
        for selection in self.selector.curve():
            if selection.cost >= draft[1].cost:
                break
            if flash_bytes is None or self.flash.total(selection.choice) <= flash_bytes:
                other = self.drafted(selection)
                if other[0].arena_bytes <= sram:
                    return other
        return draft

    @cached_property
    def flash(self) -> Flash:
        """What options need of flash."""
        return Flash(cache(self._constants_bytes), self._code)

    def _constants_bytes(self, layer: int, option: int) -> int:
        kernel = self.options[layer][option].kernel
        packed = table.packing(kernel).pack(self.nodes[layer], self.graph)
        arrays = sum(constant.array.nbytes for constant in packed.constants)
        return arrays + table.param_struct(kernel.params).itemsize

    def _code(self, layer: int, option: int) -> Mapping[str, int]:
        return table.code(self.options[layer][option].kernel, self.target.cost)


def _most_instructions(device: DeviceProfile | None, target: Target) -> float:
    """What a device executes in its budget of time."""
    if device is None or device.max_latency_ms is None:
        return inf
    return device.max_latency_ms * device.clock_hz / 1e3 / target.cycles_per_instruction


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


def _options(node: Node, graph: Graph, target: Target) -> tuple[Option, ...]:
    kernels = table.candidates(node, graph, target.isa)
    activations = [name for name in node.inputs if graph[name].data is None]
    if not kernels or len(activations) > MAX_INPUTS:
        raise _unsupported(node, graph, target)
    found = []
    costs = cost_model.compare(kernels, node, graph, target)
    counted = target.counted and cost_model.cost_set(target) == target.cost
    for kernel, cost in zip(kernels, costs, strict=True):
        if cost is None:
            continue
        contract = table.packing(kernel).contract(node, graph)
        total = round(cost + cost_model.steps(contract, graph, target))
        known = cost if counted and target.cost in kernel.cost else None
        found.append(Option(kernel, contract, total, known))
    return tuple(found)


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
