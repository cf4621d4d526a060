"""Softmax over the channels of every pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node, Softmax
from fedtiny.compiler.quantization import scale_of
from fedtiny.compiler.softmax import SUM_INTEGER_BITS, softmax_parameters
from fedtiny.runtime.contract import Access, Packed, RowContract
from fedtiny.runtime.packing import geometry


def supports(node: Node, graph: Graph) -> bool:
    """Vectors and images; int8 sums of exponentials must fit their fixed-point format."""
    output = graph[node.output]
    limit = 1 << SUM_INTEGER_BITS if output.dtype == "int8" else geometry.U16_MAX + 1
    return len(output.shape) in (2, 4) and output.shape[-1] < limit


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step, which may overwrite the input."""
    rows = geometry.row_count(graph[node.output].shape)
    reads, writes = Access(node.inputs[0], 1, 1), Access(node.output, 1, 1)
    return RowContract((reads,), writes, rows, overlap="same_address")


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    assert isinstance(node.attributes, Softmax)
    output, beta = graph[node.output], node.attributes.beta
    channels = output.shape[-1]
    params: dict[str, int | float] = {
        "channels": channels,
        "pixels": output.size // geometry.row_count(output.shape) // channels,
    }
    if output.dtype == "float32":
        return Packed({**params, "beta": beta})
    p = softmax_parameters(beta, scale_of(graph, node.inputs[0]))
    fixed = {"multiplier": p.multiplier, "shift": p.shift, "difference_min": max(p.diff_min, -255)}
    return Packed(params | fixed)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """Softmax has no weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs, of int8 nodes those besides each pixel's greatest whose exponential is
    expected to count; pixels; output rows.

    Inputs are taken to be spread evenly over int8: what counts depends on the data.
    """
    output = graph[node.output]
    pixels = output.size // output.shape[-1]
    rows = geometry.row_count(output.shape)
    found: dict[str, float] = {"outputs": output.size, "pixels": pixels, "rows": rows}
    if output.dtype == "int8":
        assert isinstance(node.attributes, Softmax)
        p = softmax_parameters(node.attributes.beta, scale_of(graph, node.inputs[0]))
        channels = output.shape[-1]
        greatest = 255 * channels / (channels + 1)  # expected, above the least
        found["exponentials"] = pixels * (channels - 1) * min(1.0, -p.diff_min / greatest)
    return found
