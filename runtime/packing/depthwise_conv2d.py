"""Depthwise convolution as the graph has it: weights `(kh, kw, channels)`, unfolded bias."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry

_FIELDS = (
    *("in_w", "out_w", "kernel_h", "kernel_w"),
    *("stride_w", "dilation_h", "dilation_w", "pad_left"),
)


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, padding and dilation; as many outputs as inputs."""
    if not geometry.is_image(node, graph):
        return False
    window = geometry.window(node, graph)
    return window.in_c == window.out_c and window.fits()


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step."""
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    return RowContract((reads,), writes, window.out_h)


def pack(node: Node, graph: Graph) -> Packed:
    """Weights with the channel last."""
    window = geometry.window(node, graph)
    weights = geometry.weights_of(node, graph)
    comment = f"{weights.dtype} {weights.shape[1:]}: (kernel_h, kernel_w, channels)"
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph), "channels": window.in_c}
    constants = [Constant("weights", weights.reshape(-1), comment)]
    constants.append(geometry.bias_constant(node, graph))
    if weights.dtype == np.int8:
        params |= geometry.zero_points(node, graph)
        constants += geometry.multiplier_constants(node, graph)
    return Packed(params, tuple(constants))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(1, kh, kw, channels)`."""
    return packed.constants[0].array.reshape(graph[node.inputs[1]].shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Taps, those in rows and pixels of the image; outputs, those that shift left; pixels; rows."""
    window = geometry.window(node, graph)
    outputs = window.out_h * window.out_w * window.out_c
    macs = outputs * window.kernel_h * window.kernel_w
    inner = window.inner_taps() * window.in_c
    return {
        "macs": macs,
        "inner_rows": window.inner_rows() * window.kernel_w * window.out_w * window.out_c,
        "inner_macs": inner,
        "outputs": outputs,
        "left_outputs": geometry.left_outputs(node, graph),
        "pixels": window.out_h * window.out_w,
        "rows": window.out_h,
    }
