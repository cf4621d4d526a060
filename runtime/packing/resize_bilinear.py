"""Resizing to means of four pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import resizing
from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.operators import ResizeBilinear
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import resize_steps

MOST_WEIGHT = 2 * resizing.UNIT
"""Greatest magnitude of a weight for which sums of int8 products stay in int32."""


def _axis(node: Node, graph: Graph, axis: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The two input pixels `(made, 2)` of every output pixel, and the weight of the second."""
    a = node.attributes
    assert isinstance(a, ResizeBilinear)
    size, made = (graph[name].shape[axis] for name in (node.inputs[0], node.output))
    if graph[node.output].dtype == "int8":
        low, high, weight = resizing.linear_int8(size, made, a)
    else:
        low, high, weight = resizing.linear(size, made, a)
    return np.stack([low, high], axis=1), weight


def supports(node: Node, graph: Graph) -> bool:
    """Any size for which int32 holds the sums."""
    if not resize_steps.fits(node, graph):
        return False
    weights = [_axis(node, graph, axis)[1] for axis in (1, 2)]
    is_int8 = graph[node.output].dtype == "int8"
    return not is_int8 or all(np.abs(w).max() <= MOST_WEIGHT for w in weights)


def contract(node: Node, graph: Graph) -> RowContract:
    """As few rows a step as input and output rows have in common."""
    return resize_steps.contract(node, resize_steps.steps(node, graph, _axis(node, graph, 1)[0]))


def pack(node: Node, graph: Graph) -> Packed:
    """Tables of rows, columns and weights."""
    (rows, down), (columns, across) = (_axis(node, graph, axis) for axis in (1, 2))
    steps = resize_steps.steps(node, graph, rows)
    kind = np.dtype(np.int16 if graph[node.output].dtype == "int8" else np.float32)
    tables = (
        ("columns", columns.astype(np.uint16), "input columns"),
        ("rows", steps.relative(rows), "input rows in a step"),
        ("column_weights", across.astype(kind), "of the second column"),
        ("row_weights", down.astype(kind), "of the second row"),
    )
    constants = tuple(
        Constant(name, table.reshape(-1), f"{table.dtype} {table.shape}: {what}", table.itemsize)
        for name, table, what in tables
    )
    return Packed(resize_steps.params(node, graph, steps), constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs; pixels; output rows."""
    output = graph[node.output]
    height, width = output.shape[1:3]
    return {"outputs": output.size, "pixels": height * width, "rows": height}
