"""Average pooling over the whole input, summed row by row, so that it streams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry


def supports(node: Node, graph: Graph) -> bool:
    """One window that is the whole input, without padding."""
    if not geometry.is_image(node, graph):
        return False
    w = geometry.window(node, graph)
    whole = (w.kernel_h, w.kernel_w, w.pad_top, w.pad_left) == (w.in_h, w.in_w, 0, 0)
    return whole and (w.out_h, w.out_w) == (1, 1) and w.in_h * w.in_w < 1 << 23 and w.fits()


def contract(node: Node, graph: Graph) -> RowContract:
    """One input row a step; 4 bytes a channel from the first step to the last."""
    window = geometry.window(node, graph)
    reads, writes = Access(node.inputs[0], 1, 1), Access(node.output, 1, 0)
    state_bytes = 4 * window.in_c
    return RowContract((reads,), writes, window.in_h, state_bytes=state_bytes, overlap="any")


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    window = geometry.window(node, graph)
    params = {**window.params("in_h", "in_w"), **geometry.clamp(node, graph)}
    return Packed({**params, "channels": window.in_c})


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """Pooling has no weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Additions; input pixels; outputs; input rows."""
    window = geometry.window(node, graph)
    return {
        "macs": graph[node.inputs[0]].size,
        "pixels": window.in_h * window.in_w,
        "outputs": window.in_c,
        "rows": window.in_h,
    }
