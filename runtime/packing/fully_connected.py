"""Fully connected as the graph has it: weights `(outputs, inputs)`, unfolded bias."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import fully_connected_scales, quantization_of
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry


def supports(node: Node, graph: Graph) -> bool:
    """Any size."""
    outputs, inputs = graph[node.inputs[1]].shape
    tensors = graph[node.inputs[0]], graph[node.output]
    if [t.size for t in tensors] != [inputs, outputs] or tensors[0].dtype != tensors[1].dtype:
        return False
    return not any(graph[name].data is None for name in node.inputs[1:])


def single_scale(node: Node, graph: Graph) -> float | None:
    """`s_in * s_w / s_out`, or None where outputs have scales of their own."""
    if quantization_of(graph, node.inputs[1]).axis is not None:
        return None
    return float(fully_connected_scales(node, graph)[0])


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    reads = Access(node.inputs[0], 1, 0, flat=True)
    return RowContract((reads,), Access(node.output, 1, 1), 1)


def pack(node: Node, graph: Graph) -> Packed:
    """Weights in the graph's order; int8 scales as the two words of a double."""
    weights = geometry.weights_of(node, graph)
    outputs, inputs = weights.shape
    comment = f"{weights.dtype} {weights.shape}: (outputs, inputs)"
    params = {"inputs": inputs, "outputs": outputs, **geometry.clamp(node, graph)}
    packed = Constant("weights", weights.reshape(-1), comment)
    constants = (packed, geometry.bias_constant(node, graph))
    if weights.dtype != np.int8:
        return Packed(params, constants)
    words = np.ascontiguousarray(fully_connected_scales(node, graph), "<f8").view(np.uint32)
    scales = Constant("scales", words, f"({outputs}) doubles: s_in * s_w / s_out")
    return Packed(params | geometry.zero_points(node, graph), (*constants, scales))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    return packed.constants[0].array.reshape(graph[node.inputs[1]].shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Multiply-accumulates and outputs."""
    outputs, inputs = graph[node.inputs[1]].shape
    return {"macs": outputs * inputs, "outputs": outputs, "rows": 1}
