"""Dense convolution as the graph has it: OHWI weights, unfolded bias."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry

_FIELDS = (
    *("in_w", "in_c", "out_w", "out_c", "kernel_h", "kernel_w"),
    *("stride_w", "dilation_h", "dilation_w", "pad_left", "groups"),
)


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, padding, dilation and groups."""
    return geometry.is_image(node, graph) and geometry.window(node, graph).fits()


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step."""
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    return RowContract((reads,), writes, window.out_h)


def pack(node: Node, graph: Graph) -> Packed:
    """Weights in OHWI order."""
    window = geometry.window(node, graph)
    weights = geometry.weights_of(node, graph)
    comment = f"{weights.dtype} {weights.shape}: (out, kernel_h, kernel_w, in / groups)"
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
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
    """Multiply-accumulates with padding (`macs`) and without, taps, those in rows and in pixels of
    the image, outputs, those that shift left, their
    pixels, rows."""
    window = geometry.window(node, graph)
    outputs = window.out_h * window.out_w * window.out_c
    depth = window.in_c // window.groups
    taps = window.inner_taps() * window.out_c
    return {
        "macs": outputs * window.kernel_h * window.kernel_w * depth,
        "inner_macs": taps * depth,
        "inner_taps": taps,
        "taps": outputs * window.kernel_h * window.kernel_w,
        "row_taps": window.inner_rows() * window.kernel_w * window.out_w * window.out_c,
        "outputs": outputs,
        "left_outputs": geometry.left_outputs(node, graph),
        "pixels": window.out_h * window.out_w,
        "rows": window.out_h,
    }
