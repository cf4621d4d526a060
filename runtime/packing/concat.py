"""Two activations side by side in every pixel, in every row, or one above the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.operators import Concat
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing.copies import counted


def _axis(node: Node, graph: Graph) -> int:
    assert isinstance(node.attributes, Concat)
    return node.attributes.axis + len(graph[node.output].shape)


def _joins_rows(node: Node, graph: Graph) -> bool:
    """Whether the rows of the output are those of one input, then those of the other."""
    return len(graph[node.output].shape) == 4 and _axis(node, graph) == 1


def supports(node: Node, graph: Graph) -> bool:
    """Two activations of one type that differ in one dimension, not the batch's."""
    tensors, axis = [graph[name] for name in (*node.inputs, node.output)], _axis(node, graph)
    alike = len({(t.shape[:axis], t.shape[axis + 1 :], t.dtype) for t in tensors}) == 1
    return alike and axis >= 1 and all(t.data is None for t in tensors)


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step."""
    rows = [geometry.row_count(graph[name].shape) for name in (*node.inputs, node.output)]
    starts = (0, -rows[0]) if _joins_rows(node, graph) else (0, 0)
    inputs = tuple(
        Access(name, 1, 1, start) for name, start in zip(node.inputs, starts, strict=True)
    )
    return RowContract(inputs, Access(node.output, 1, 1), rows[2])


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    shape, axis = graph[node.output].shape, _axis(node, graph)
    sizes = [graph[name].size // geometry.row_count(graph[name].shape) for name in node.inputs]
    pixels = 1
    if not _joins_rows(node, graph):
        pixels = int(np.prod(shape[2 if len(shape) == 4 else 1 : axis]))
    return Packed(
        {"pixels": pixels, "channels_a": sizes[0] // pixels, "channels_b": sizes[1] // pixels}
    )


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What copies take (`copies.counted`); copies; output rows, those of one input alone."""
    output, params = graph[node.output], pack(node, graph).params
    rows = geometry.row_count(output.shape)
    item = np.dtype(output.dtype).itemsize
    sizes = [item * int(params[name]) for name in ("channels_a", "channels_b")]
    if _joins_rows(node, graph):  # a row of one input alone
        copied = counted([(0, 0, sizes[0])], rows)
        return {"copies": rows, "rows": rows, "single_rows": rows, **copied}
    moved = []
    for x in range(int(params["pixels"])):
        start = x * sum(sizes)
        moved += [(start, x * sizes[0], sizes[0]), (start + sizes[0], x * sizes[1], sizes[1])]
    copied = counted(moved, rows)
    return {"copies": rows * len(moved), "rows": rows, "single_rows": 0, **copied}
