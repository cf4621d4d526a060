"""Rows, pixels or channels that are there once, as often as the output has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry


def _rows(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows, pixels of a row, and channels."""
    height, width, channels = [1, 1, 1, *shape[1:]][-3:]
    return (height, width, channels) if len(shape) == 4 else (1, height * width, channels)


def supports(node: Node, graph: Graph) -> bool:
    """Two to four dimensions, each of the output's size or 1, the batch's in front."""
    source, output = graph[node.inputs[0]], graph[node.output]
    alike = source.dtype == output.dtype and len(source.shape) == len(output.shape)
    fits = alike and all(n in (1, m) for n, m in zip(source.shape, output.shape, strict=True))
    return fits and 2 <= len(output.shape) <= 4


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step; the one row of the input again and again where it has no more."""
    rows = geometry.row_count(graph[node.output].shape)
    advance = int(geometry.row_count(graph[node.inputs[0]].shape) > 1)
    return RowContract((Access(node.inputs[0], 1, advance),), Access(node.output, 1, 1), rows)


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only: strides of 0 where the input has one pixel or one channel."""
    _, in_w, in_c = _rows(graph[node.inputs[0]].shape)
    _, out_w, out_c = _rows(graph[node.output].shape)
    return Packed(
        {
            "step_stride": 0,
            "pixels": out_w,
            "pixel_stride": in_c if in_w > 1 else 0,
            "channels": out_c,
            "channel_stride": int(in_c > 1),
        }
    )


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs; pixels; output rows."""
    height, width, channels = _rows(graph[node.output].shape)
    return {"outputs": height * width * channels, "pixels": height * width, "rows": height}
