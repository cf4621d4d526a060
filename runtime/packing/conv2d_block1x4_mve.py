"""Int8 convolution over blocks of four input channels, four at a time (see src/gather.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import gather, geometry


def supports(node: Node, graph: Graph) -> bool:
    """As `gather.supports`; whole fours of input channels."""
    if not gather.supports(node, graph):
        return False
    return geometry.window(node, graph).in_c % gather.BLOCK == 0


def contract(node: Node, graph: Graph, rows: int = 1) -> RowContract:
    """As `gather.contract`."""
    return gather.contract(node, graph, "blocks", rows)


def pack(node: Node, graph: Graph, rows: int = 1) -> Packed:
    """Groups of four blocks."""
    return gather.pack(node, graph, "blocks", rows)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    return gather.unpack(packed, node, graph, "blocks")


def features(node: Node, graph: Graph, rows: int = 1) -> dict[str, float]:
    """As `gather.features`."""
    return gather.features(node, graph, "blocks", rows)
