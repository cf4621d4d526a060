"""Int8 fully connected by dot products of sixteen (see src/fully_connected_mve.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits, zero_point_of
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import (
    fully_connected,
    fully_connected_dsp,
    gather,
    geometry,
    requantization,
)

OUTPUTS = 4
"""At a time."""


def supports(node: Node, graph: Graph) -> bool:
    """Layers of less than 65,536 inputs whose requantization is a line in 32 bits."""
    if not fully_connected_dsp.has_line(node, graph):
        return False
    weights = geometry.weights_of(node, graph)
    line = fully_connected_dsp.line(node, graph)
    assert line is not None
    bias = graph[node.inputs[2]].value
    reach = requantization.reach(weights, bias, zero_point_of(graph, node.inputs[0]))
    last = max(abs(reach[0]), abs(reach[1])) + line.addend
    fits = (last * line.multiplier >> 31) + 2 * abs(line.rounding) < (1 << 31) - 1
    return fits and weights.shape[1] <= geometry.U16_MAX


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected.contract(node, graph)


def pack(node: Node, graph: Graph, kind: gather.Kind) -> Packed:
    """The stream of groups, numbers of groups, and biases, outputs filled up to fours."""
    outputs = len(geometry.weights_of(node, graph))
    groups = _groups(node, graph, kind)
    if kind == "dense":  # of four outputs in turn
        fours = [groups[at : at + OUTPUTS] for at in range(0, len(groups), OUTPUTS)]
        ordered = [group for four in fours for turn in zip(*four, strict=True) for group in turn]
        more = [len(groups[0]) - 1]
    else:
        ordered = [group for found in groups for group in found]
        more = [len(found) - 1 for found in groups]
    bias: NDArray[np.int32] = np.zeros(len(groups), np.int32)
    bias[:outputs] = fully_connected_dsp.bias(node, graph)
    line = fully_connected_dsp.line(node, graph)
    assert line is not None
    params: dict[str, int | float] = {
        "multiplier": line.multiplier,
        "rounding": 2 * line.rounding,
        "outputs": outputs,
        "left": requantization.LEAST_SHIFT - line.shift - 1,
        **geometry.clamp(node, graph),
    }
    stream = b"".join(gather.encode(group, kind) for group in ordered)
    constants = (
        Constant("stream", np.frombuffer(stream, np.uint8), f"uint8: groups, {kind}", 2),
        Constant("bias", bias, f"int32 ({len(bias)}), folded, in fours"),
        Constant("more", np.array(more, np.uint16), "uint16: groups after the first", 2),
    )
    return Packed(params, constants)


def unpack(packed: Packed, node: Node, graph: Graph, kind: gather.Kind) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    outputs, inputs = graph[node.inputs[1]].shape
    stream, _, more = (constant.array for constant in packed.constants)
    groups = list(gather.decode(stream.astype(np.uint8).tobytes(), kind))
    weights: NDArray[np.int8] = np.zeros((outputs, inputs + gather.LANES), np.int8)
    counts = np.broadcast_to(more.astype(np.int64) + 1, (outputs,)) if kind == "dense" else more + 1
    start = 0
    for output, row in enumerate(weights):
        count = int(counts[output])
        if kind == "dense":
            first = output // OUTPUTS * OUTPUTS * count + output % OUTPUTS
            gather.put(row, groups[first : first + OUTPUTS * count : OUTPUTS])
        else:
            gather.put(row, groups[start : start + count])
            start += count
    return np.ascontiguousarray(weights[:, :inputs])


def features(node: Node, graph: Graph, kind: gather.Kind) -> dict[str, float]:
    """Groups, fours of outputs, outputs clamped afterwards."""
    groups = _groups(node, graph, kind)
    outputs = len(geometry.weights_of(node, graph))
    return {
        "groups": sum(map(len, groups)),
        "fours": len(groups) // OUTPUTS,
        "clamped": outputs * (clamp_limits(node, graph) != (-128, 127)),
        "rows": 1,
    }


def _groups(node: Node, graph: Graph, kind: gather.Kind) -> list[list[gather.Group]]:
    """By output, filled up to fours."""
    weights = geometry.weights_of(node, graph).astype(np.int8)
    missing = np.zeros((-len(weights) % OUTPUTS, weights.shape[1]), np.int8)
    return [gather.GROUPS[kind](row) for row in np.concatenate([weights, missing])]
