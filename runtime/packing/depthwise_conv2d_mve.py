"""Depthwise int8 convolution, four pixels of a channel at a time (see src/gather.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import depthwise_conv2d, gather, geometry, requantization

ROWS = 3


def supports(node: Node, graph: Graph) -> bool:
    """int8; kernels of at most three rows and four columns, scales below 1/2."""
    if not depthwise_conv2d.supports(node, graph) or graph[node.output].dtype != "int8":
        return False
    window = geometry.window(node, graph)
    fits = window.kernel_h <= ROWS and window.reach_w <= gather.SLOTS and window.fits()
    return fits and requantization.conv_fits(node, graph) and gather.scales_fit(node, graph)


def contract(node: Node, graph: Graph, rows: int = 1) -> RowContract:
    """As `gather.contract`."""
    return gather.contract(node, graph, "depthwise", rows)


def pack(node: Node, graph: Graph, rows: int = 1) -> Packed:
    """Of every channel one group: four columns of four rows."""
    return gather.pack(node, graph, "depthwise", rows)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(1, kernel_h, kernel_w, channels)`."""
    return gather.unpack(packed, node, graph, "depthwise")


def features(node: Node, graph: Graph, rows: int = 1) -> dict[str, float]:
    """As `gather.features`."""
    return gather.features(node, graph, "depthwise", rows)
