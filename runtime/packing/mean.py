"""The mean over rows and columns, summed row by row, so that it streams."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import mean_parameters
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry


def supports(node: Node, graph: Graph) -> bool:
    """An image whose sums fit into int32."""
    if not geometry.is_image(node, graph):
        return False
    _, height, width, channels = graph[node.inputs[0]].shape
    return height * width < 1 << 22 and max(height, width, channels) <= geometry.U16_MAX


def contract(node: Node, graph: Graph) -> RowContract:
    """One input row a step; 4 bytes a channel from the first step to the last."""
    _, height, _, channels = graph[node.inputs[0]].shape
    reads, writes = Access(node.inputs[0], 1, 1), Access(node.output, 1, 0)
    return RowContract((reads,), writes, height, state_bytes=4 * channels, overlap="any")


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    _, height, width, channels = graph[node.inputs[0]].shape
    params: dict[str, int | float] = {"in_h": height, "in_w": width, "channels": channels}
    if graph[node.output].dtype == "int8":
        params |= asdict(mean_parameters(node, graph))
    return Packed(params)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Additions; pixels; outputs; input rows; the one inference."""
    source = graph[node.inputs[0]]
    _, height, width, channels = source.shape
    found = {"macs": source.size, "pixels": height * width, "outputs": channels, "rows": height}
    return {**found, "start": 1}
