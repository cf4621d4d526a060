"""Several output rows a step, as `pairs_rows`, with 4-bit distances where they take fewer bytes.

Kernels of one column only: distances are whole channels or kernel rows. Two share a byte, which
costs an instruction more for each; longer ones continue in entries of weight 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import pairs, pairs_rows


def supports(node: Node, graph: Graph) -> bool:
    """What `pairs_rows` supports, where any record gets smaller."""
    return pairs_rows.supports(node, graph) and pairs.is_leaner(
        node, graph, pairs_rows.rows(node, graph)
    )


def contract(node: Node, graph: Graph) -> RowContract:
    """As `pairs_rows`."""
    return pairs.contract(node, graph, pairs_rows.rows(node, graph), lean=True)


def pack(node: Node, graph: Graph) -> Packed:
    """The stream of records."""
    return pairs.pack(node, graph, pairs_rows.rows(node, graph), lean=True)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The dense weights, read back from the stream."""
    return pairs.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What one inference executes, as `pairs.features`."""
    return pairs.features(node, graph, pairs_rows.rows(node, graph), lean=True)
