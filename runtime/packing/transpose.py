"""Dimensions in another order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.operators import Transpose
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry


def _keeps_rows(node: Node, graph: Graph) -> bool:
    """Whether an output row is made of one input row."""
    assert isinstance(node.attributes, Transpose)
    rank = len(node.attributes.order)
    return rank < 4 or node.attributes.order[1] == 1


def supports(node: Node, graph: Graph) -> bool:
    """Up to three dimensions behind the batch's, which stays in front."""
    a = node.attributes
    assert isinstance(a, Transpose)
    alike = graph[node.inputs[0]].dtype == graph[node.output].dtype
    return alike and 2 <= len(a.order) <= 4 and a.order[0] == 0


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step, of one input row or of the whole input."""
    if _keeps_rows(node, graph):
        reads = Access(node.inputs[0], 1, 1)
    else:
        reads = Access(node.inputs[0], 1, 0, flat=True)
    rows = geometry.row_count(graph[node.output].shape)
    return RowContract((reads,), Access(node.output, 1, 1), rows)


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only: how far apart neighbours of the output lie in the input."""
    a = node.attributes
    assert isinstance(a, Transpose)
    shape = graph[node.inputs[0]].shape
    strides = [int(np.prod(shape[axis + 1 :])) for axis in a.order]
    sizes = [1, 1, *(shape[axis] for axis in a.order[1:])][-3:]
    steps = [0, 0, *strides[1:]][-3:]
    return Packed(
        {
            "step_stride": 0 if _keeps_rows(node, graph) else steps[0],
            "pixels": sizes[1],
            "pixel_stride": steps[1],
            "channels": sizes[2],
            "channel_stride": steps[2],
        }
    )


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs; pixels; output rows."""
    output = graph[node.output]
    return {
        "outputs": output.size,
        "pixels": output.size // output.shape[-1],
        "rows": geometry.row_count(output.shape),
    }
