"""Int8 convolution over nonzeros, gathered sixteen at a time (see src/gather.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import gather, geometry


def supports(node: Node, graph: Graph) -> bool:
    """As `gather.supports`."""
    return gather.supports(node, graph)


def contract(node: Node, graph: Graph, rows: int = 1) -> RowContract:
    """As `gather.contract`."""
    return gather.contract(node, graph, _kind(node, graph), rows)


def pack(node: Node, graph: Graph, rows: int = 1) -> Packed:
    """Narrow groups where a patch has at most 256 bytes, else wide ones."""
    return gather.pack(node, graph, _kind(node, graph), rows)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    return gather.unpack(packed, node, graph, _kind(node, graph))


def features(node: Node, graph: Graph, rows: int = 1) -> dict[str, float]:
    """As `gather.features`; groups by their kind."""
    kind = _kind(node, graph)
    found = gather.features(node, graph, kind, rows)
    groups = found.pop("tile_groups")
    channels = found["tile_channels"]
    return {
        **found,
        "tile_groups": groups * (kind == "narrow"),
        "tile_groups_wide": groups * (kind == "wide"),
        "tile_channels_wide": channels * (kind == "wide"),
    }


def _kind(node: Node, graph: Graph) -> gather.Kind:
    return "narrow" if gather.fits_narrow(geometry.window(node, graph)) else "wide"
