"""Two output pixels per 32-bit accumulator, several output rows a step (see lanes.py).

What it shares and costs is what `pairs_rows` says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import geometry, lanes, pairs_rows


def supports(node: Node, graph: Graph) -> bool:
    """What `lanes` supports, where several rows have anything to share."""
    return lanes.supports(node, graph) and _rows(node, graph) > 1


def contract(node: Node, graph: Graph) -> RowContract:
    """Several output rows a step."""
    return lanes.contract(node, graph, _rows(node, graph))


def pack(node: Node, graph: Graph) -> Packed:
    """Records and groups."""
    return lanes.pack(node, graph, _rows(node, graph))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The dense weights, read back from the stream."""
    return lanes.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What one inference executes, as `lanes.features`."""
    return lanes.features(node, graph, _rows(node, graph))


def _rows(node: Node, graph: Graph) -> int:
    return pairs_rows.rows_of(geometry.window(node, graph), lanes.LanesLayout)
