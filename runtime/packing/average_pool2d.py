"""Average pooling with any window; padded pixels are not counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import geometry

_FIELDS = ("in_w", "out_w", "kernel_h", "kernel_w", "stride_w", "pad_left")


def supports(node: Node, graph: Graph) -> bool:
    """Any window, stride and padding for which every window holds a pixel of the input."""
    if not geometry.is_image(node, graph):
        return False
    w = geometry.window(node, graph)
    last_row = (w.out_h - 1) * w.stride_h - w.pad_top
    last_column = (w.out_w - 1) * w.stride_w - w.pad_left
    holds = w.pad_top < w.kernel_h and w.pad_left < w.kernel_w
    return holds and last_row < w.in_h and last_column < w.in_w and w.fits()


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step."""
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    return RowContract((reads,), writes, window.out_h)


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    window = geometry.window(node, graph)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph), "channels": window.in_c}
    return Packed(params)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """Pooling has no weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Taps, those in rows and in pixels of the image; outputs; their pixels; output rows."""
    window = geometry.window(node, graph)
    outputs = graph[node.output].size
    return {
        "macs": outputs * window.kernel_h * window.kernel_w,
        "inner_rows": window.inner_rows() * window.kernel_w * window.out_w * window.out_c,
        "inner_macs": window.inner_taps() * window.out_c,
        "outputs": outputs,
        "pixels": window.out_h * window.out_w,
        "rows": window.out_h,
    }
