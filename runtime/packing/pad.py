"""One value around a map, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.operators import Pad
from fedtiny.compiler.quantization import constant_value
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing.copies import counted


def supports(node: Node, graph: Graph) -> bool:
    """Any padding of `(1, H, W, C)`."""
    return geometry.is_image(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step."""
    a = node.attributes
    assert isinstance(a, Pad)
    reads = Access(node.inputs[0], 1, 1, -a.padding[0][0])
    return RowContract((reads,), Access(node.output, 1, 1), graph[node.output].shape[1])


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only: rows are copied whole, or pixel by pixel where channels are added."""
    a = node.attributes
    assert isinstance(a, Pad)
    _, _, width, channels = graph[node.inputs[0]].shape
    _, _, out_w, out_c = graph[node.output].shape
    between = out_c - channels
    params: dict[str, int | float] = {
        "elements": out_w * out_c,
        "before": a.padding[1][0] * out_c + a.channels[0],
        "run": channels if between else width * channels,
        "between": between,
        "runs": width if between else 1,
        "value": constant_value(graph, node.output, a.value),
    }
    return Packed(params)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs filled, of int8 words and bytes; words and bytes copied; runs copied; output rows."""
    params, output = pack(node, graph).params, graph[node.output]
    height, rows = graph[node.inputs[0]].shape[1], output.shape[1]
    item = np.dtype(output.dtype).itemsize
    elements, before, run, between = (
        int(params[name]) for name in ("elements", "before", "run", "between")
    )
    runs = range(int(params["runs"]))
    moved = [(item * (before + i * (run + between)), item * i * run, item * run) for i in runs]
    found = {"runs": height * len(runs), "rows": rows, **counted(moved, height)}
    if item == 1:
        return found | {"filled_words": rows * (elements // 4), "filled": rows * (elements % 4)}
    return found | {"outputs": output.size}
