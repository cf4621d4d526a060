"""Elementwise sum of two activations."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import add_parameters
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry


def supports(node: Node, graph: Graph) -> bool:
    """Two activations of one shape and type."""
    tensors = [graph[name] for name in (*node.inputs, node.output)]
    same = len({(t.shape, t.dtype) for t in tensors}) == 1
    return same and all(t.data is None for t in tensors)


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step, which may overwrite either input."""
    rows = geometry.row_count(graph[node.output].shape)
    inputs = tuple(Access(name, 1, 1) for name in node.inputs)
    return RowContract(inputs, Access(node.output, 1, 1), rows, overlap="same_address")


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    output = graph[node.output]
    elements = output.size // geometry.row_count(output.shape)
    params = {"elements": elements, **geometry.clamp(node, graph)}
    if output.dtype == "int8":
        params |= asdict(add_parameters(node, graph))
    return Packed(params)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """An add has no weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs and output rows."""
    output = graph[node.output]
    return {"outputs": output.size, "rows": geometry.row_count(output.shape)}
