"""The channels of two activations side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry


def supports(node: Node, graph: Graph) -> bool:
    """Two activations of one type that differ in channels alone."""
    tensors = [graph[name] for name in (*node.inputs, node.output)]
    alike = len({(t.shape[:-1], t.dtype) for t in tensors}) == 1
    ranked = len(tensors[-1].shape) in (2, 4)
    return alike and ranked and all(t.data is None for t in tensors)


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step."""
    rows = geometry.row_count(graph[node.output].shape)
    inputs = tuple(Access(name, 1, 1) for name in node.inputs)
    return RowContract(inputs, Access(node.output, 1, 1), rows)


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    output = graph[node.output]
    channels = [graph[name].shape[-1] for name in node.inputs]
    pixels = output.size // geometry.row_count(output.shape) // output.shape[-1]
    return Packed({"pixels": pixels, "channels_a": channels[0], "channels_b": channels[1]})


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Bytes; pixels; output rows."""
    output = graph[node.output]
    return {
        "outputs": output.size,
        "pixels": output.size // output.shape[-1],
        "rows": geometry.row_count(output.shape),
    }
