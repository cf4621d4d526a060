"""How many instructions kernels and the executor are expected to execute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedtiny.compiler import statistics
from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.plan import ExecutionPlan, row_bytes, row_count
from fedtiny.devices.profiles import Target
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel, RowContract

PROXY_SET = "cortex-a"
"""Coefficients that rank kernels for targets that have none of their own.

The compilers of such targets make of the same C loops what they make for this 64-bit core.
"""

WORK_INSTRUCTIONS = 6.0
"""Of one multiply-accumulate (or element) where no candidate has coefficients: plain C loops."""

SPARSE_FACTOR = 4.0
"""Work of one indexed multiply-accumulate in units of a dense one, where nothing was fitted.

Scalar CSR executes 7 to 14 instructions for each, dense loops 2 to 4: they break even near density
0.25 (measured on emulated Cortex-M4; see the kernel table for fitted coefficients).
"""

REFERENCE_FACTOR = 1.5
"""The same for plain reference kernels, which are written to be read."""


def predict(kernel: Kernel, node: Node, graph: Graph, target: Target) -> float | None:
    """Instructions of one inference of a node; None where the target's coefficients count none."""
    return None if not target.counted else table.instructions(kernel, node, graph, target.cost)


def compare(
    kernels: Sequence[Kernel], node: Node, graph: Graph, target: Target
) -> tuple[float | None, ...]:
    """Costs of a node's candidates for choosing between them, on the scale of instructions.

    All from one set of coefficients: the target's own, or `PROXY_SET` where no kernel at all has
    that one. A candidate without coefficients is not rated (None) where another has some: what
    nobody counted is no reason to prefer it. Where none has any, all are rated by their work.
    """
    name = cost_set(target)
    found = tuple(table.instructions(kernel, node, graph, name) for kernel in kernels)
    if any(cost is not None for cost in found):
        return found
    return tuple(WORK_INSTRUCTIONS * _work(kernel, node, graph) for kernel in kernels)


def cost_set(target: Target) -> str:
    """Name of the coefficients that rank kernels for a target."""
    own = any(target.cost in kernel.cost for kernel in table.kernels())
    return target.cost if own else PROXY_SET


def steps(contract: RowContract, graph: Graph, target: Target) -> float:
    """Instructions of the executor for the steps of one layer; 0 without coefficients."""
    cost = table.executor_cost(cost_set(target))
    return float(sum(cost.get(name, 0.0) * n for name, n in step_features(contract, graph).items()))


def step_features(contract: RowContract, graph: Graph) -> dict[str, int]:
    """Steps of a layer, accesses in them, pointers to rows and to padding."""
    accesses = (*contract.inputs, contract.output)
    rows = padding = 0
    for access in accesses:
        count = 1 if access.flat else row_count(graph[access.tensor])
        window = 1 if access.flat else access.window
        first = np.arange(contract.steps) * (0 if access.flat else access.advance) + access.start
        inside = np.clip(np.minimum(first + window, count) - np.maximum(first, 0), 0, window)
        rows += int(inside.sum())
        padding += contract.steps * window - int(inside.sum())
    return {
        "steps": contract.steps,
        "accesses": contract.steps * len(accesses),
        "rows": rows,
        "padding": padding,
    }


def program_features(entries: int, layers: int, graph: Graph) -> dict[str, int]:
    """Entries of a program, layers, and what is copied to inputs and from outputs."""
    ends = [graph[name] for name in (*graph.inputs, *graph.outputs)]
    return {
        "start": 1,
        "entries": entries,
        "layers": layers,
        "copied_rows": sum(row_count(tensor) for tensor in ends),
        "copied_bytes": sum(row_count(tensor) * row_bytes(tensor) for tensor in ends),
    }


def program(plan: ExecutionPlan) -> float:
    """Instructions of the executor for a program's start, entries, inputs and outputs."""
    cost = table.executor_cost(cost_set(plan.target))
    found = program_features(len(plan.program), len(plan.layers), plan.graph)
    return float(sum(cost.get(name, 0.0) * count for name, count in found.items()))


def executor(plan: ExecutionPlan) -> float:
    """Instructions that a plan executes outside of kernels; 0 without coefficients."""
    return program(plan) + sum(steps(x.contract, plan.graph, plan.target) for x in plan.layers)


def _work(kernel: Kernel, node: Node, graph: Graph) -> float:
    """Multiply-accumulates and elements, those of kernels that follow an index weighted; never 0.

    It counts what the node asks for, not what a kernel's packing calls its features.
    """
    macs: float = statistics.macs(node, graph)
    if "dense" not in kernel.patterns:
        macs = SPARSE_FACTOR * statistics.macs_nonzero(node, graph)
    elements = sum(graph[t].size for t in (*node.inputs, node.output) if graph[t].data is None)
    return (REFERENCE_FACTOR if kernel.reference else 1.0) * macs + elements
