"""Dense fully connected for DSP cores: four outputs and four inputs a block (see pack)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits, zero_point_of
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import fully_connected, geometry, requantization

GROUP = 4
"""Outputs of a group, and inputs of a block."""


def line(node: Node, graph: Graph) -> requantization.HighLine | None:
    """The node's requantization in one high multiplication, or None where none equals it."""
    scale = fully_connected.single_scale(node, graph)
    if scale is None:
        return None
    weights, bias = geometry.weights_of(node, graph), graph[node.inputs[2]].value
    reach = requantization.reach(weights, bias, zero_point_of(graph, node.inputs[0]))
    function = requantization.round_once(scale, zero_point_of(graph, node.output))
    return requantization.fit_high(function, scale, clamp_limits(node, graph), reach)


def line_params(node: Node, graph: Graph) -> dict[str, int | float]:
    """The line's fields of a parameter struct."""
    found = line(node, graph)
    assert found is not None  # what `supports` said
    return {
        "multiplier": found.multiplier,
        "rounding": found.rounding,
        "shift": found.shift - requantization.LEAST_SHIFT,
    }


def bias(node: Node, graph: Graph) -> NDArray[np.int32]:
    """Bias with the input's zero point folded in, plus what the line wants added."""
    found = line(node, graph)
    assert found is not None
    folded: NDArray[np.int32] = geometry.folded_bias(node, graph) + np.int32(found.addend)
    return folded


def has_line(node: Node, graph: Graph) -> bool:
    """int8 layers whose requantization is one high multiplication and a shift."""
    int8 = graph[node.output].dtype == "int8"
    return int8 and fully_connected.supports(node, graph) and line(node, graph) is not None


def supports(node: Node, graph: Graph) -> bool:
    """Such layers, of at least four inputs."""
    return graph[node.inputs[1]].shape[1] >= GROUP and has_line(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """By group of outputs: its biases, then by block of inputs four weights of every output.

    Where the inputs are no multiple of four, the last block is that of the last four inputs.
    """
    weights = geometry.weights_of(node, graph)
    outputs, inputs = weights.shape
    groups, blocks = -(-outputs // GROUP), -(-inputs // GROUP)
    columns, fresh = _columns(inputs)
    padded: NDArray[np.int8] = np.zeros((groups * GROUP, blocks * GROUP), np.int8)
    padded[:outputs] = np.where(fresh, weights[:, columns], 0)
    blocked = padded.reshape(groups, GROUP, blocks, GROUP).transpose(0, 2, 1, 3)
    biases: NDArray[np.int32] = np.zeros(groups * GROUP, np.int32)
    biases[:outputs] = bias(node, graph)
    words = np.ascontiguousarray(blocked).view("<i4").reshape(groups, blocks * GROUP)
    data = np.concatenate((biases.reshape(groups, GROUP), words), 1)
    params = {"inputs": inputs, "outputs": outputs, **geometry.clamp(node, graph)}
    comment = f"int32 {data.shape}: 4 biases, then weights int8 ({blocks}, 4 outputs, 4 inputs)"
    constants = (Constant("weights", data.reshape(-1).astype(np.int32), comment),)
    return Packed({**params, **line_params(node, graph)}, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    outputs, inputs = graph[node.inputs[1]].shape
    columns, fresh = _columns(inputs)
    words = packed.constants[0].array.reshape(-(-outputs // GROUP), -1)[:, GROUP:]
    blocked = np.ascontiguousarray(words.astype("<i4")).view(np.int8)
    rows = blocked.reshape(len(words), -1, GROUP, GROUP).transpose(0, 2, 1, 3)
    weights: NDArray[np.int8] = np.zeros((outputs, inputs), np.int8)
    weights[:, columns[fresh]] = rows.reshape(len(words) * GROUP, -1)[:outputs, fresh]
    return weights


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Multiply-accumulates, padding included, groups of outputs, and outputs clamped afterwards."""
    outputs, inputs = graph[node.inputs[1]].shape
    groups, blocks = -(-outputs // GROUP), -(-inputs // GROUP)
    clamped = outputs * (clamp_limits(node, graph) != (-128, 127))
    macs = groups * blocks * GROUP * GROUP
    return {"macs": macs, "groups": groups, "clamped": clamped, "rows": 1}


def _columns(inputs: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The input of every place of a row of blocks, and whether no earlier place has it."""
    columns = np.arange(-(-inputs // GROUP) * GROUP)
    excess = len(columns) - inputs
    fresh = np.ones(len(columns), np.bool_)
    if excess:
        columns[-GROUP:] -= excess
        fresh[-GROUP : excess - GROUP] = False
    return columns, fresh
