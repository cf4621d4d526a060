"""Dense int8 convolution as a blocked product: four output channels of weights side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry, requantization

CHANNELS = 4
PIXELS = 2

_FIELDS = (
    *("in_w", "in_c", "out_w", "out_c", "kernel_h", "kernel_w"),
    *("stride_w", "dilation_h", "dilation_w", "pad_left"),
)


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, padding and dilation; one group."""
    if not geometry.is_image(node, graph):
        return False
    window = geometry.window(node, graph)
    return window.groups == 1 and window.fits() and requantization.conv_fits(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step; the scratch holds the inputs of two output pixels."""
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    scratch_bytes = PIXELS * window.kernel_h * window.kernel_w * window.in_c
    return RowContract((reads,), writes, window.out_h, scratch_bytes)


def pack(node: Node, graph: Graph) -> Packed:
    """Weights `(out / 4, taps, 4)`, the last block filled with zeros; folded bias."""
    window = geometry.window(node, graph)
    weights = geometry.weights_of(node, graph)
    flat = weights.reshape(window.out_c, -1)
    blocks = -(-window.out_c // CHANNELS)
    padded: NDArray[np.int8] = np.zeros((blocks * CHANNELS, flat.shape[1]), np.int8)
    padded[: window.out_c] = flat
    blocked = np.ascontiguousarray(padded.reshape(blocks, CHANNELS, -1).transpose(0, 2, 1))
    bias: NDArray[np.int32] = np.zeros(blocks * CHANNELS, np.int32)
    bias[: window.out_c] = geometry.folded_bias(node, graph)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
    params |= geometry.zero_points(node, graph)
    comment = f"int8 {blocked.shape}: (blocks of out, taps, out within the block)"
    constants = (
        Constant("weights", blocked.reshape(-1), comment),
        Constant("bias", bias, f"int32 ({bias.size}), folded, in whole blocks"),
        *geometry.multiplier_constants(node, graph),
    )
    return Packed(params, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    shape = graph[node.inputs[1]].shape
    taps = int(np.prod(shape[1:]))
    blocked = packed.constants[0].array.reshape(-1, taps, CHANNELS).transpose(0, 2, 1)
    return blocked.reshape(-1, taps)[: shape[0]].reshape(shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What one inference executes.

    Multiply-accumulates in whole blocks, outputs, channels of pixel pairs, taps gathered and the
    bytes in them (padding; four at a time; one at a time), pixel pairs, rows.
    """
    window = geometry.window(node, graph)
    pairs = window.out_h * -(-window.out_w // PIXELS)
    channels = -(-window.out_c // CHANNELS) * CHANNELS
    taps = pairs * PIXELS * window.kernel_h * window.kernel_w
    inside = window.inner_taps()
    return {
        "macs": taps * window.in_c * channels,
        **geometry.stored_features(node, graph, pairs),
        "pair_channels": pairs * window.out_c,
        "taps": taps,
        "padding": (taps - inside) * window.in_c,
        "gathered_fours": inside * (window.in_c // 4),
        "gathered": inside * (window.in_c % 4),
        "pairs": pairs,
        "rows": window.out_h,
    }
