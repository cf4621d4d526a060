"""Elementwise sums on padded channel planes: the whole tensor, padding included, is one row."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import add_parameters
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing.layouts import planes

LEFT_SHIFT = 20
"""Of both int8 inputs; the kernel has it built in."""


def supports(node: Node, graph: Graph) -> bool:
    """Two activations, images of one shape and type; int8 ones whose padding stays padding."""
    tensors = [graph[name] for name in (*node.inputs, node.output)]
    same = len({(t.shape, t.dtype) for t in tensors}) == 1 and len(tensors[0].shape) == 4
    if not same or any(t.data is not None for t in tensors):
        return False
    if tensors[0].dtype != "int8":
        return True
    found = add_parameters(node, graph)
    return found.left_shift == LEFT_SHIFT and found.shift_out < 0


def contract(node: Node, graph: Graph) -> RowContract:
    """One step over everything; the output may replace an input."""
    reads = tuple(Access(name, 1, 1) for name in node.inputs)
    return RowContract(reads, Access(node.output, 1, 1), 1, overlap="same_address")


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    elements = planes(graph[node.output]).size
    params: dict[str, int | float] = {"elements": elements, **geometry.clamp(node, graph)}
    if graph[node.output].dtype == "int8":
        params |= asdict(add_parameters(node, graph))
        del params["left_shift"]
        params["ties"] = geometry.ties(node, graph)
    return Packed(params)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Elements, padding included; calls."""
    return {"outputs": planes(graph[node.output]).size, "rows": 1}
