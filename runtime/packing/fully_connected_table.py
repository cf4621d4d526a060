"""Sparse int8 fully connected whose inputs are gathered from a table of 128 in registers.

Outputs are cut into blocks of 128, inputs into tables of 128. Within a block outputs are sorted by
their number of nonzeros and taken four at a time. For every table a group of four has steps: each
holds, for each of its outputs, the numbers (in the table) of four inputs and four weights. A step
that has nothing left for an output multiplies input 0 by 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import fully_connected, fully_connected_steps, geometry

TABLE, GROUP, LANES = 128, 4, 4
"""Inputs of a table and outputs of a block; outputs of a group; inputs of an output's step."""

SCRATCH_BYTES = 6 * TABLE
"""Sums, outputs in sorted order, and the last table."""


def supports(node: Node, graph: Graph) -> bool:
    """What `fully_connected_steps` supports."""
    return fully_connected_steps.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    plain = fully_connected.contract(node, graph)
    return RowContract(plain.inputs, plain.output, plain.steps, SCRATCH_BYTES)


def pack(node: Node, graph: Graph) -> Packed:
    """Counts of steps, steps, biases in sorted order, and where each output is found in it."""
    weights = geometry.weights_of(node, graph)
    outputs, inputs = weights.shape
    folded = geometry.folded_bias(node, graph)
    counts: list[int] = []
    steps: list[NDArray[np.uint8]] = []
    bias: list[NDArray[np.int32]] = []
    where = np.zeros(outputs, np.uint8)
    for first in range(0, outputs, TABLE):
        block = weights[first : first + TABLE]
        order = _order(block)
        where[first + order] = np.arange(len(block))
        bias.append(_filled(folded[first : first + TABLE][order], GROUP))
        for group in _groups(block, order):
            counts.append(len(group))
            steps.append(group.reshape(-1))
    params = {"inputs": inputs, "outputs": outputs, **geometry.clamp(node, graph)}
    constants = (
        Constant("counts", np.array(counts, np.uint8), "uint8 (blocks, tables, groups): steps", 1),
        Constant("steps", np.concatenate(steps), "uint8 (steps, 2, 16): inputs, int8 weights", 16),
        Constant("bias", _filled(np.concatenate(bias), 4 * GROUP), "int32, folded, sorted"),
        Constant("where", where, f"uint8 ({outputs}): places in the sorted block", 1),
    )
    return Packed({**params, **fully_connected_steps.line_params(node, graph)}, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    counts, steps, _, where = (constant.array for constant in packed.constants)
    weights = np.zeros(graph[node.inputs[1]].shape, np.int8)
    outputs, inputs = weights.shape
    rows = iter(steps.reshape(-1, 2, GROUP, LANES))
    left = iter(counts.astype(int).tolist())
    for first in range(0, outputs, TABLE):
        order = np.argsort(where[first : first + TABLE])
        for table in range(0, inputs, TABLE):
            for group in range(0, len(order), GROUP):
                for _ in range(next(left)):
                    which, values = next(rows)
                    for k, output in enumerate(order[group : group + GROUP].tolist()):
                        used = values[k] != 0
                        columns = table + which[k][used].astype(np.int64)
                        weights[first + output, columns] = values[k][used].view(np.int8)
    return weights


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Steps, groups of outputs by tables of inputs, tables by blocks, outputs, blocks."""
    weights = geometry.weights_of(node, graph)
    outputs, inputs = weights.shape
    blocks, tables = -(-outputs // TABLE), -(-inputs // TABLE)
    steps = sum(
        _steps(block[_order(block)]).sum()
        for block in (weights[first : first + TABLE] for first in range(0, outputs, TABLE))
    )
    return {
        "steps": float(steps),
        "group_tables": -(-outputs // GROUP) * tables,
        "tables": blocks * tables,
        "outputs": outputs,
        "rest_outputs": outputs % 16,
        "rest_inputs": inputs % TABLE,
        "rows": 1,
    }


def _order(block: NDArray[np.generic]) -> NDArray[np.int64]:
    """Outputs of a block, group after group.

    A group begins with the output that has most nonzeros and takes, one by one, those that add the
    fewest steps; among equals those with most nonzeros.
    """
    steps = -(-_nonzeros(block) // LANES)
    left = np.argsort(-np.count_nonzero(block, axis=1), kind="stable").tolist()
    order: list[int] = []
    while left:
        order.append(left.pop(0))
        most = steps[order[-1]]
        for _ in range(min(GROUP - 1, len(left))):
            together = np.maximum(most, steps[left])
            cheapest = int(np.argmin(together.sum(1)))
            most = together[cheapest]
            order.append(left.pop(cheapest))
    return np.array(order, np.int64)


def _nonzeros(rows: NDArray[np.generic]) -> NDArray[np.int64]:
    """Nonzeros of every row in every table, `(rows, tables)`."""
    count, inputs = rows.shape
    filled = np.zeros((count, -(-inputs // TABLE) * TABLE), np.int64)
    filled[:, :inputs] = rows != 0
    found: NDArray[np.int64] = filled.reshape(count, -1, TABLE).sum(2)
    return found


def _steps(sorted_block: NDArray[np.generic]) -> NDArray[np.int64]:
    """Steps of every table and group, `(tables, groups)`."""
    nonzeros = _nonzeros(sorted_block)
    missing = np.zeros((-len(nonzeros) % GROUP, nonzeros.shape[1]), np.int64)
    groups = np.concatenate([nonzeros, missing]).reshape(-1, GROUP, nonzeros.shape[1]).max(1)
    steps: NDArray[np.int64] = -(-groups.T // LANES)
    return steps


def _groups(block: NDArray[np.generic], order: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """The steps of every table and group, each `(steps, 2, 4, 4)`."""
    found = []
    for table, row in enumerate(_steps(block[order]).tolist()):
        part = block[:, table * TABLE : (table + 1) * TABLE]
        for group, count in enumerate(row):
            steps = np.zeros((count, 2, GROUP, LANES), np.uint8)
            for k, output in enumerate(order[group * GROUP : (group + 1) * GROUP].tolist()):
                which = np.flatnonzero(part[output])
                step, lane = np.divmod(np.arange(len(which)), LANES)
                steps[step, 0, k, lane] = which
                steps[step, 1, k, lane] = part[output, which].astype(np.int8).view(np.uint8)
            found.append(steps)
    return found


def _filled(array: NDArray[np.int32], multiple: int) -> NDArray[np.int32]:
    """With zeros up to a multiple."""
    return np.concatenate([array, np.zeros(-len(array) % multiple, np.int32)])
