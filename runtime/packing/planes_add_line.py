"""Int8 sums on padded channel planes as one linear form, proven on all pairs; see `add_line`."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import add_line, geometry, planes_add
from fedtiny.runtime.packing.layouts import planes

LEAST_SHIFT = 16
"""The kernel takes the upper halves of sums first."""


def supports(node: Node, graph: Graph) -> bool:
    """What `planes_add` supports in int8, where a line equals it."""
    if graph[node.output].dtype != "int8" or not planes_add.supports(node, graph):
        return False
    found = add_line.line(node, graph)
    return found is not None and found.shift >= LEAST_SHIFT


def contract(node: Node, graph: Graph) -> RowContract:
    """As `planes_add`."""
    return planes_add.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    found = add_line.line(node, graph)
    assert found is not None  # what `supports` said
    elements = planes(graph[node.output]).size
    clamp = geometry.clamp(node, graph)
    return Packed({"elements": elements, **asdict(found), **clamp})


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return planes_add.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """As `planes_add`."""
    return planes_add.features(node, graph)
