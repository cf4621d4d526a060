"""From a plan, a build and runs to a `DeploymentReport`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from fedtiny.compiler import cost, statistics
from fedtiny.compiler.compile import Compiled
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import ExecutionPlan, Layer
from fedtiny.compiler.planner import PlanPoint
from fedtiny.devices import pipeline, profiles
from fedtiny.devices.profiles import DeviceProfile
from fedtiny.devices.runner import BuildInfo, Evidence, RunResult
from fedtiny.report.curve import RamCurve, RamPoint
from fedtiny.report.model import (
    ArenaItem,
    ArenaMap,
    DeploymentReport,
    DeviceInfo,
    Figure,
    LayerReport,
    ModelInfo,
    TensorInfo,
    Totals,
)
from fedtiny.runtime.table import param_struct

PIPELINE = "pipeline model"
"""Who estimates cycles: `fedtiny.devices.pipeline`."""

PLANNER = "planner"


def describe_model(
    name: str, sha256: str, compiled: Compiled, io: Literal["int8", "float32"] | None = None
) -> ModelInfo:
    """Describe the model that was compiled.

    Args:
        name: Its name.
        sha256: Of its file.
        compiled: What is deployed of it.
        io: What the program exchanges with the application; None is the graph's own type.
    """
    graph = compiled.whole
    before, after = (sum(t.shape[-1] for t in g.activations()) for g in (graph, compiled.graph))
    return ModelInfo(
        name=name,
        sha256=sha256,
        density=statistics.model_density(graph),
        parameters=statistics.parameters(graph),
        macs=sum(statistics.macs(node, graph) for node in graph.nodes),
        macs_nonzero=sum(
            statistics.macs_nonzero(node, compiled.graph) for node in compiled.graph.nodes
        ),
        input=_tensor(graph, graph.inputs[0], io),
        output=_tensor(graph, graph.outputs[0], io),
        channels=before,
        channels_dropped=before - after,
    )


def describe_device(device: DeviceProfile) -> DeviceInfo:
    """The part of a device profile that a report states."""
    return DeviceInfo(
        name=device.name,
        flash_bytes=device.flash_bytes,
        sram_bytes=device.sram_bytes,
        clock_hz=device.clock_hz,
        max_latency_ms=device.max_latency_ms,
        max_macs=device.max_macs,
        flash_wait_states=device.flash_wait_states,
        flash_read_bytes=device.flash_read_bytes,
        sources=dict(device.sources),
    )


def describe_layers(plan: ExecutionPlan, before: Graph | None = None) -> tuple[LayerReport, ...]:
    """One entry a layer, with what the planner predicts.

    Args:
        plan: The plan.
        before: The graph before pruning at export, to state densities before and after.
    """
    earlier = {}
    if before is not None:
        for node in before.nodes:
            tensor = statistics.weights(node, before)
            if tensor is not None:
                earlier[tensor.name] = statistics.density(tensor)
    return tuple(_layer(layer, plan.graph, earlier) for layer in plan.layers)


def _layer(layer: Layer, graph: Graph, earlier: dict[str, float]) -> LayerReport:
    weights = statistics.weights(layer.node, graph)
    constants = sum(item.array.nbytes for item in layer.packed.constants)
    return LayerReport(
        name=layer.name,
        op=layer.node.op,
        kernel=layer.kernel.name,
        pattern=weights.pattern.kind if weights is not None and weights.pattern else None,
        density=None if weights is None else statistics.density(weights),
        density_before=None if weights is None else earlier.get(weights.name),
        macs=statistics.macs(layer.node, graph),
        macs_nonzero=statistics.macs_nonzero(layer.node, graph),
        flash_bytes=Figure(
            constants + param_struct(layer.kernel.params).itemsize, "estimated", PLANNER
        ),
        scratch_bytes=Figure(
            layer.contract.scratch_bytes + layer.contract.state_bytes, "estimated", PLANNER
        ),
        instructions=_maybe(
            None if layer.instructions is None else round(layer.instructions),
            "estimated",
            "cost model",
        ),
    )


def planned_totals(plan: ExecutionPlan, weights_bytes: int) -> Totals:
    """What is known before anything is built."""
    predicted = [layer.instructions for layer in plan.layers]
    known = [value for value in predicted if value is not None]
    return Totals(
        weights_bytes=Figure(weights_bytes, "estimated", PLANNER),
        arena_bytes=Figure(plan.arena_bytes, "estimated", PLANNER),
        instructions=_maybe(
            round(sum(known) + cost.executor(plan))
            if known and len(known) == len(predicted)
            else None,
            "estimated",
            "cost model",
        ),
    )


def with_build(totals: Totals, build: BuildInfo) -> Totals:
    """Replace estimates by what the linker placed."""

    def placed(value: int | None, old: Figure | None) -> Figure | None:
        return old if value is None else Figure(value, "measured", build.compiler)

    flash = None
    if build.code_bytes is not None and build.constants_bytes is not None:
        flash = build.code_bytes + build.constants_bytes
    return replace(
        totals,
        flash_bytes=placed(flash, totals.flash_bytes),
        weights_bytes=placed(build.constants_bytes, totals.weights_bytes),
        code_bytes=placed(build.code_bytes, totals.code_bytes),
        stack_bound_bytes=placed(build.stack_bound_bytes, totals.stack_bound_bytes),
        static_ram_bytes=placed(build.static_ram_bytes, totals.static_ram_bytes),
    )


def with_run(
    report: DeploymentReport,
    runs: Sequence[RunResult],
    evidence: Evidence,
    runner: str,
) -> DeploymentReport:
    """Replace estimates by what a runner of the target saw: the worst of its runs."""

    def worst(values: Iterable[float | None]) -> Figure | None:
        seen = [value for value in values if value is not None]
        return Figure(max(seen), evidence, runner) if seen else None

    totals = report.totals
    totals = replace(
        totals,
        arena_bytes=worst(run.arena_bytes for run in runs) or totals.arena_bytes,
        stack_bytes=worst(run.stack_bytes for run in runs) or totals.stack_bytes,
        instructions=worst(run.instructions for run in runs) or totals.instructions,
        cycles=worst(run.cycles for run in runs) or totals.cycles,
        latency_ms=worst(run.latency_ms for run in runs) or totals.latency_ms,
    )
    layers = []
    for index, layer in enumerate(report.layers):
        counted = worst(
            None if run.layer_instructions is None else run.layer_instructions[index]
            for run in runs
        )
        layers.append(replace(layer, instructions=counted or layer.instructions))
    return _with_cycles(replace(report, totals=totals, layers=tuple(layers)), runs)


def _with_cycles(report: DeploymentReport, runs: Sequence[RunResult]) -> DeploymentReport:
    """Estimate cycles from the run of the most, where the device did not count them."""
    estimates = [_cycles(report, run) for run in runs if run.layer_cycles is not None]
    if not estimates or (report.totals.cycles and report.totals.cycles.evidence != "estimated"):
        return report
    cycles = [Figure(round(n), "estimated", PIPELINE) for n in max(estimates, key=sum)]
    total = replace(cycles[0], value=sum(one.value for one in cycles))
    layers = [replace(a, cycles=b) for a, b in zip(report.layers, cycles[1:], strict=True)]
    return replace(report, totals=replace(report.totals, cycles=total), layers=tuple(layers))


def _cycles(report: DeploymentReport, run: RunResult) -> list[float]:
    """Outside of kernels, then by layer, with the device's waiting for constants in flash."""
    cycles = list(run.layer_cycles or ())
    board = report.device
    if board and board.flash_wait_states and board.flash_read_bytes:
        for index, lines in enumerate(run.layer_flash_lines or ()):
            waits = pipeline.wait_cycles(lines, board.flash_wait_states, board.flash_read_bytes)
            cycles[index + 1] += waits
    return cycles


def with_latency(report: DeploymentReport) -> DeploymentReport:
    """Estimate the latency where nothing measured it: by cycles, else by instructions."""
    totals = report.totals
    clock_hz = report.device.clock_hz if report.device else None
    known = totals.latency_ms is not None and totals.latency_ms.evidence != "estimated"
    if known or not clock_hz or not (totals.cycles or totals.instructions):
        return report
    if totals.cycles is not None:
        cycles, by = float(totals.cycles.value), PIPELINE
    else:
        assert totals.instructions is not None
        each = profiles.target(report.target).cycles_per_instruction
        cycles = totals.instructions.value * each
        by = "one instruction a cycle" if each == 1 else f"{each:g} cycles an instruction"
    latency = Figure(round(cycles / clock_hz * 1e3, 4), "estimated", by)
    return replace(report, totals=replace(totals, latency_ms=latency))


def describe_curve(
    model: str, target: str, device: DeviceProfile | None, points: Sequence[PlanPoint]
) -> RamCurve:
    """Plans of a model, from the fastest to the smallest."""
    fastest = points[0].instructions
    return RamCurve(
        model=model,
        target=target,
        sram_bytes=None if device is None else device.sram_bytes,
        points=tuple(
            RamPoint(
                arena_bytes=point.plan.arena_bytes,
                bound_bytes=point.plan.arena_bound_bytes,
                gap=_gap(point.plan),
                schedule=point.plan.schedule,
                instructions=None if point.instructions is None else round(point.instructions),
                extra=round(point.instructions / fastest - 1, 4)
                if point.instructions is not None and fastest
                else None,
            )
            for point in points
        ),
    )


def _gap(plan: ExecutionPlan) -> float:
    return round(plan.arena_bytes / plan.arena_bound_bytes - 1, 4)


def describe_arena(plan: ExecutionPlan) -> ArenaMap:
    """The arena over the schedule."""
    return ArenaMap(
        schedule=plan.schedule,
        bytes=plan.arena_bytes,
        bound_bytes=plan.arena_bound_bytes,
        gap=_gap(plan),
        items=tuple(
            ArenaItem(item.name, item.offset, item.size_bytes, item.born, item.dies)
            for item in plan.lifetimes
        ),
    )


def _maybe(value: float | None, evidence: Evidence, by: str) -> Figure | None:
    return None if value is None else Figure(value, evidence, by)


def _tensor(graph: Graph, name: str, io: str | None) -> TensorInfo:
    tensor = graph[name]
    quantization = tensor.quantization
    dtype = io or tensor.dtype
    if dtype != "int8" or quantization is None:
        return TensorInfo(tensor.shape, dtype)
    return TensorInfo(
        tensor.shape, tensor.dtype, float(quantization.scale), int(quantization.zero_point)
    )
