"""Dense int8 fully connected, sixteen weights at a time (see src/fully_connected_mve.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import fully_connected_mve, gather


def supports(node: Node, graph: Graph) -> bool:
    """As `fully_connected_mve.supports`; whole sixteens of inputs."""
    fits = graph[node.inputs[1]].shape[1] % gather.LANES == 0
    return fits and fully_connected_mve.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected_mve.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """As `fully_connected_mve.pack`."""
    return fully_connected_mve.pack(node, graph, "dense")


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    return fully_connected_mve.unpack(packed, node, graph, "dense")


def features(node: Node, graph: Graph) -> dict[str, float]:
    """As `fully_connected_mve.features`."""
    return fully_connected_mve.features(node, graph, "dense")
