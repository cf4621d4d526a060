"""Conversions between interleaved channels and padded channel planes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing.layouts import planes


def supports(node: Node, graph: Graph) -> bool:
    """Images, from one layout to the other."""
    ends = graph[node.inputs[0]], graph[node.output]
    return ends[0].layout != ends[1].layout and all(len(t.shape) == 4 for t in ends)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads and writes each tensor as one row."""
    reads = Access(node.inputs[0], 1, 0, flat=True)
    return RowContract((reads,), Access(node.output, 1, 1, flat=True), 1)


def pack(node: Node, graph: Graph) -> Packed:
    """Where the planes lie."""
    p = planes(graph[node.output])
    zero = graph[node.output].quantization
    return Packed(
        {
            "height": p.height,
            "width": p.width,
            "channels": p.channels,
            "lead": p.lead,
            "plane": p.plane,
            "tail": p.tail,
            "zero_point": int(zero.zero_point) if zero else 0,
        }
    )


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Elements moved one by one, vectors of them moved at once; image rows, bytes of all planes."""
    tensor = graph[node.output]
    p = planes(tensor)
    size = np.dtype(tensor.dtype).itemsize
    at_once = p.width * size // 16 if tensor.layout == "chw" and p.channels == 3 else 0
    return {
        "outputs": tensor.size - p.channels * p.height * at_once * 16 // size,
        "vectors": p.channels * p.height * at_once,
        "image_rows": p.height * p.channels,
        "bytes": p.size * size,
    }
