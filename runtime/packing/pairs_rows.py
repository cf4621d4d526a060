"""Two output pixels per accumulator, several output rows a step (see pairs.py).

Rows of a step share most of their input rows, and the rows of 1x1 kernels on narrow images share
tiles. What it costs is memory: more rows of input and output exist at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import geometry, pairs
from fedtiny.runtime.packing.pairs_layout import Layout

MOST_ROWS = 8
WINDOW_ROWS = 4


def supports(node: Node, graph: Graph) -> bool:
    """What `pairs` supports, where several rows have anything to share."""
    return pairs.supports(node, graph) and rows(node, graph) > 1


def contract(node: Node, graph: Graph) -> RowContract:
    """Several output rows a step."""
    return pairs.contract(node, graph, rows(node, graph))


def pack(node: Node, graph: Graph) -> Packed:
    """The stream of records."""
    return pairs.pack(node, graph, rows(node, graph))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The dense weights, read back from the stream."""
    return pairs.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What one inference executes, as `pairs.features`."""
    return pairs.features(node, graph, rows(node, graph))


def rows_of(window: geometry.Window, layout: type[Layout]) -> int:
    """Rows of a step: for joined rows, the fewest that waste little; else a few."""
    most = min(window.out_h, MOST_ROWS)
    if layout(window, 2, 1).joined:
        lanes = {n: _lanes(layout(window, n, 1)) for n in range(1, most + 1)}
        return next(n for n in lanes if lanes[n] <= 1.1 * min(lanes.values()))
    if layout(window, 2, 1).row_advance == window.kernel_h:
        return 1
    return min(most, WINDOW_ROWS)


def rows(node: Node, graph: Graph) -> int:
    """Rows of a step."""
    return rows_of(geometry.window(node, graph), Layout)


def _lanes(layout: Layout) -> int:
    """Lanes that all tiles of an inference compute."""
    return 2 * sum(
        steps * sum(map(part.tile_words, range(part.tiles))) for steps, part in layout.parts()
    )
