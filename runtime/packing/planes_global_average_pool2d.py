"""Average pooling of whole channel planes to one pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import zero_point_of
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry, global_average_pool2d
from fedtiny.runtime.packing.layouts import planes


def supports(node: Node, graph: Graph) -> bool:
    """One window that is the whole input, without padding."""
    return global_average_pool2d.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step."""
    return RowContract((Access(node.inputs[0], 1, 0),), Access(node.output, 1, 1), 1)


def pack(node: Node, graph: Graph) -> Packed:
    """Where the planes lie."""
    p = planes(graph[node.inputs[0]])
    params = {"lead": p.lead, "plane": p.plane, "pixels": p.height * p.width}
    if graph[node.output].dtype == "int8":
        params["zero_point"] = zero_point_of(graph, node.inputs[0])
    return Packed({**params, "channels": p.channels, **geometry.clamp(node, graph)})


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Additions, padding included; outputs."""
    p = planes(graph[node.inputs[0]])
    return {"macs": p.plane * p.channels, "outputs": p.channels}
