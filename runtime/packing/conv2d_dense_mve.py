"""Dense int8 convolution, sixteen weights at a time (see src/gather.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import gather, geometry


def supports(node: Node, graph: Graph) -> bool:
    """As `gather.supports`; no horizontal dilation."""
    if not gather.supports(node, graph):
        return False
    return geometry.window(node, graph).dilation_w == 1


def contract(node: Node, graph: Graph, rows: int = 1) -> RowContract:
    """As `gather.contract`."""
    return gather.contract(node, graph, "dense", rows)


def pack(node: Node, graph: Graph, rows: int = 1) -> Packed:
    """Groups of sixteen weights."""
    return gather.pack(node, graph, "dense", rows)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    return gather.unpack(packed, node, graph, "dense")


def features(node: Node, graph: Graph, rows: int = 1) -> dict[str, float]:
    """As `gather.features`."""
    return gather.features(node, graph, "dense", rows)
