"""Maximum pooling with any window; padding never wins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import average_pool2d


def supports(node: Node, graph: Graph) -> bool:
    """As average pooling: every window holds a pixel of the input."""
    return average_pool2d.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step."""
    return average_pool2d.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    return average_pool2d.pack(node, graph)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """Pooling has no weights: an empty array."""
    return average_pool2d.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Comparisons, padding included (`macs`); taps of all pixels; outputs; output rows."""
    found = average_pool2d.features(node, graph)
    return {**found, "taps": found["macs"] / graph[node.output].shape[3]}
