"""Depthwise int8 convolution over tiles: eight output pixels at once (see `tile`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import depthwise_conv2d, geometry, requantization
from fedtiny.runtime.packing.tile import gather_features, tap_offsets, tile

LANES = 8

_FIELDS = ("in_w", "out_w", "kernel_h", "stride_w", "dilation_h", "pad_left")


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, padding and dilation, while offsets fit 16 bits."""
    if not depthwise_conv2d.supports(node, graph):
        return False
    window = geometry.window(node, graph)
    small = tile(window, LANES).scratch <= geometry.U16_MAX
    return small and requantization.conv_fits(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step; the scratch is one tile."""
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    return RowContract((reads,), writes, window.out_h, tile(window, LANES).scratch)


def pack(node: Node, graph: Graph) -> Packed:
    """Weights `(channels, taps)`, and one offset in the tile for every tap; folded bias."""
    window = geometry.window(node, graph)
    shape = tile(window, LANES)
    weights = geometry.weights_of(node, graph)[0]
    taps = window.kernel_h * window.kernel_w
    by_channel = np.ascontiguousarray(weights.reshape(taps, window.in_c).T)
    offsets = tap_offsets(window, shape)[0].astype(np.uint16)  # those of channel 0
    sums = by_channel.astype(np.int64).sum(1)
    bias = geometry.folded(node, graph, sums)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
    params |= {"channels": window.in_c, "taps": taps, **geometry.zero_points(node, graph)}
    constants = (
        Constant("weights", by_channel.reshape(-1), f"int8 {by_channel.shape}: (channels, taps)"),
        Constant("offsets", offsets, f"uint16 ({taps}): of a tap from its channel's plane", 2),
        Constant("bias", bias, f"int32 ({window.in_c}), folded"),
        *geometry.multiplier_constants(node, graph),
    )
    return Packed({**params, "phases": shape.phases, "columns": shape.columns}, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(1, kh, kw, channels)`."""
    shape = graph[node.inputs[1]].shape
    return packed.constants[0].array.reshape(shape[3], -1).T.reshape(shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Taps of channels in whole tiles, channels, outputs, rows, and what gathering takes."""
    window = geometry.window(node, graph)
    shape = tile(window, LANES)
    tiles = window.out_h * -(-window.out_w // LANES)
    taps = window.kernel_h * window.kernel_w
    outputs = window.out_h * window.out_w * window.out_c
    return {
        "macs": outputs * taps,
        "tile_taps": tiles * taps * window.in_c,
        "tile_channels": tiles * window.in_c,
        **gather_features(window, shape, LANES),
        **geometry.stored_features(node, graph, tiles),
        "tiles": tiles,
        "rows": window.out_h,
    }
