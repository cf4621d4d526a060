"""Dense fully connected with a requantization of its own for every output, each proven equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import (
    clamp_limits,
    fully_connected_scales,
    quantization_of,
    zero_point_of,
)
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import fully_connected, fully_connected_steps, geometry, requantization


def lines(node: Node, graph: Graph) -> list[requantization.Line] | None:
    """The requantization of every output, or None where one is no line."""
    weights, bias = geometry.weights_of(node, graph), graph[node.inputs[2]].value
    zero_in, zero_out = zero_point_of(graph, node.inputs[0]), zero_point_of(graph, node.output)
    limits, found = clamp_limits(node, graph), []
    for index, scale in enumerate(map(float, fully_connected_scales(node, graph))):
        one = slice(index, index + 1)
        reach = requantization.reach(weights[one], bias[one], zero_in)
        function = requantization.round_once(scale, zero_out)
        line = requantization.fit(function, scale, limits, reach)
        if line is None:
            return None
        found.append(line)
    return found


def supports(node: Node, graph: Graph) -> bool:
    """int8 layers with scales per output, each of whose requantizations is a line."""
    if graph[node.output].dtype != "int8" or not fully_connected.supports(node, graph):
        return False
    per_output = quantization_of(graph, node.inputs[1]).axis is not None
    return per_output and lines(node, graph) is not None


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Weights in the graph's order, bias with the input's zero point folded in, lines."""
    packed = fully_connected_steps.pack_weights(node, graph)
    found = lines(node, graph)
    assert found is not None  # what `supports` said
    numbers = [
        (line.multiplier, line.rounding & 0xFFFFFFFF, line.rounding >> 32, line.shift)
        for line in found
    ]
    table = (np.array(numbers, np.int64) - [0, 0, 0, requantization.LEAST_SHIFT]).reshape(-1)
    comment = f"int32 ({len(found)}, 4): multiplier, rounding, shift beyond 32"
    constant = Constant("lines", table.astype(np.uint32).view(np.int32), comment)
    return Packed(packed.params, (*packed.constants, constant))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    return fully_connected.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Multiply-accumulates and outputs."""
    return fully_connected.features(node, graph)
