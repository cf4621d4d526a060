"""Dense fully connected whose requantization is one multiply, add and shift, proven equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits, zero_point_of
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import fully_connected, geometry, requantization


def line(node: Node, graph: Graph) -> requantization.Line | None:
    """The node's requantization as a line, or None where no line equals it."""
    scale = fully_connected.single_scale(node, graph)
    if scale is None:
        return None
    bias = graph[node.inputs[2]].value
    weights = geometry.weights_of(node, graph)
    reach = requantization.reach(weights, bias, zero_point_of(graph, node.inputs[0]))
    function = requantization.round_once(scale, zero_point_of(graph, node.output))
    return requantization.fit(function, scale, clamp_limits(node, graph), reach)


def line_params(node: Node, graph: Graph) -> dict[str, int | float]:
    """The line's fields of a parameter struct."""
    found = line(node, graph)
    assert found is not None  # what `supports` said
    return {
        "multiplier": found.multiplier,
        "rounding_low": found.rounding & 0xFFFFFFFF,
        "rounding_high": found.rounding >> 32,
        "shift": found.shift - requantization.LEAST_SHIFT,
    }


def supports(node: Node, graph: Graph) -> bool:
    """int8 layers whose requantization is a line."""
    int8 = graph[node.output].dtype == "int8"
    return int8 and fully_connected.supports(node, graph) and line(node, graph) is not None


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Weights in the graph's order, bias with the input's zero point folded in."""
    packed = pack_weights(node, graph)
    return Packed({**packed.params, **line_params(node, graph)}, packed.constants)


def pack_weights(node: Node, graph: Graph) -> Packed:
    """The same without the requantization."""
    weights = geometry.weights_of(node, graph)
    outputs, inputs = weights.shape
    params = {"inputs": inputs, "outputs": outputs, **geometry.clamp(node, graph)}
    comment = f"int8 {weights.shape}: (outputs, inputs)"
    bias = Constant("bias", geometry.folded_bias(node, graph), f"int32 ({outputs}), folded")
    return Packed(params, (Constant("weights", weights.reshape(-1), comment), bias))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    return fully_connected.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Multiply-accumulates and outputs."""
    return fully_connected.features(node, graph)
