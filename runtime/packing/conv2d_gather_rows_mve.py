"""As `conv2d_gather_mve`, as many output rows a step as fill tiles of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import conv2d_gather_mve, gather


def supports(node: Node, graph: Graph) -> bool:
    """As `conv2d_gather_mve`, where several rows waste less than one."""
    return conv2d_gather_mve.supports(node, graph) and gather.best_rows(node, graph) > 1


def contract(node: Node, graph: Graph) -> RowContract:
    """Several output rows a step."""
    return conv2d_gather_mve.contract(node, graph, gather.best_rows(node, graph))


def pack(node: Node, graph: Graph) -> Packed:
    """As `conv2d_gather_mve`."""
    return conv2d_gather_mve.pack(node, graph, gather.best_rows(node, graph))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights."""
    return conv2d_gather_mve.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """As `conv2d_gather_mve`."""
    return conv2d_gather_mve.features(node, graph, gather.best_rows(node, graph))
