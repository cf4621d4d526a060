"""Resizing to the nearest pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import resizing
from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.operators import ResizeNearest
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import resize_steps


def _chosen(node: Node, graph: Graph, axis: int) -> NDArray[np.int64]:
    assert isinstance(node.attributes, ResizeNearest)
    size, made = (graph[name].shape[axis] for name in (node.inputs[0], node.output))
    return resizing.nearest(size, made, node.attributes)


def supports(node: Node, graph: Graph) -> bool:
    """Any size."""
    return resize_steps.fits(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """As few rows a step as input and output rows have in common."""
    return resize_steps.contract(node, resize_steps.steps(node, graph, _chosen(node, graph, 1)))


def pack(node: Node, graph: Graph) -> Packed:
    """Tables of rows and columns."""
    rows, columns = _chosen(node, graph, 1), _chosen(node, graph, 2).astype(np.uint16)
    steps = resize_steps.steps(node, graph, rows)
    constants = (
        Constant("columns", columns, f"uint16 ({columns.size}): input columns", 2),
        Constant("rows", steps.relative(rows), f"uint16 ({rows.size}): input rows in a step", 2),
    )
    return Packed(resize_steps.params(node, graph, steps), constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Elements and pixels that are looked up; elements of rows that are copied; output rows."""
    rows = _chosen(node, graph, 1)
    steps = resize_steps.steps(node, graph, rows)
    grouped = rows.reshape(steps.count, steps.made)
    made = steps.count + int((np.diff(grouped, axis=1) != 0).sum())
    _, height, width, channels = graph[node.output].shape
    return {
        "outputs": made * width * channels,
        "pixels": made * width,
        "copied": (height - made) * width * channels,
        "rows": height,
    }
