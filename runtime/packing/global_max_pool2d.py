"""Maximum pooling over the whole input, row by row, so that it streams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry, global_average_pool2d


def supports(node: Node, graph: Graph) -> bool:
    """One window that is the whole input, without padding."""
    return global_average_pool2d.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One input row a step; one value a channel from the first step to the last."""
    window = geometry.window(node, graph)
    reads, writes = Access(node.inputs[0], 1, 1), Access(node.output, 1, 0)
    state_bytes = window.in_c * geometry.element_bytes(node, graph)
    return RowContract((reads,), writes, window.in_h, state_bytes=state_bytes, overlap="any")


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    return global_average_pool2d.pack(node, graph)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """Pooling has no weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Comparisons; pixels; outputs; input rows."""
    return global_average_pool2d.features(node, graph)
