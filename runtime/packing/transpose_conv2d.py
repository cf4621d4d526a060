"""Dense transposed convolution as the graph has it: OHWI weights, unfolded bias."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.operators import TransposeConv2d
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry


def _attributes(node: Node) -> TransposeConv2d:
    assert isinstance(node.attributes, TransposeConv2d)
    return node.attributes


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, crop and groups."""
    if not geometry.is_image(node, graph):
        return False
    a = _attributes(node)
    shapes = [graph[name].shape for name in (*node.inputs[:2], node.output)]
    largest = max(*(max(shape) for shape in shapes), *a.stride, *a.crop)
    return largest <= geometry.U16_MAX >> 1


def contract(node: Node, graph: Graph) -> RowContract:
    """As many output rows a step as the stride, of the input rows that reach them."""
    a = _attributes(node)
    stride, crop = a.stride[0], a.crop[0]
    first = _first_row(node, graph)
    last = (stride - 1 + crop) // stride
    reads = Access(node.inputs[0], max(1, last - first + 1), 1, first)
    steps = -(-graph[node.output].shape[1] // stride)
    return RowContract((reads,), Access(node.output, stride, stride), steps)


def _first_row(node: Node, graph: Graph) -> int:
    """First input row that reaches the output rows of step 0; negative above the input."""
    a = _attributes(node)
    return -((graph[node.inputs[1]].shape[1] - 1 - a.crop[0]) // a.stride[0])


def pack(node: Node, graph: Graph) -> Packed:
    """Weights in OHWI order."""
    a = _attributes(node)
    weights = geometry.weights_of(node, graph)
    params = {
        "in_w": graph[node.inputs[0]].shape[2],
        "in_c": graph[node.inputs[0]].shape[3],
        "out_w": graph[node.output].shape[2],
        "out_c": graph[node.output].shape[3],
        "kernel_h": weights.shape[1],
        "kernel_w": weights.shape[2],
        "stride_h": a.stride[0],
        "stride_w": a.stride[1],
        "crop_top": a.crop[0],
        "crop_left": a.crop[1],
        "groups": a.groups,
        "first_row": _first_row(node, graph),
        **geometry.clamp(node, graph),
    }
    comment = f"{weights.dtype} {weights.shape}: (out, kernel_h, kernel_w, in / groups)"
    constants = [Constant("weights", weights.reshape(-1), comment)]
    constants.append(geometry.bias_constant(node, graph))
    if weights.dtype == np.int8:
        params |= geometry.zero_points(node, graph)
        constants += geometry.multiplier_constants(node, graph)
    return Packed(params, tuple(constants))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    return packed.constants[0].array.reshape(graph[node.inputs[1]].shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Multiply-accumulates; taps that meet a pixel, that are tried, and that are in
    rows that are tried; outputs; their pixels; output rows."""
    a = _attributes(node)
    shape, made = graph[node.inputs[0]].shape, graph[node.output].shape
    kernel = graph[node.inputs[1]].shape
    inner, tried, every = 1, 1, 1
    for axis in range(2):
        at = np.arange(made[1 + axis])[:, None] + a.crop[axis] - np.arange(kernel[1 + axis])
        meets = at % a.stride[axis] == 0
        every *= int((at % a.stride[0] == 0).sum()) if axis == 0 else at.size
        tried *= int(meets.sum())
        inner *= int((meets & (at >= 0) & (at < shape[1 + axis] * a.stride[axis])).sum())
    channels = made[3]
    return {
        "inner_macs": inner * channels * kernel[3],
        "inner_taps": inner * channels,
        "taps": tried * channels,
        "columns": every * channels,
        "outputs": made[1] * made[2] * channels,
        "pixels": made[1] * made[2],
        "rows": made[1],
    }
