"""Depthwise 3x3 int8 convolution by products of 16-bit pairs (see src/depthwise3x3.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import depthwise_conv2d, geometry, requantization
from fedtiny.runtime.packing.geometry import Window

CHANNELS = 4
PAIR_BYTES = 48

_TAPS = (((0, 0), (1, 0)), ((0, 1), (1, 1)), ((0, 2), (1, 2)), ((2, 0), (2, 1)), ((2, 1), (2, 2)))
"""Row and column of the two weights of every word of a record, in its order."""

_FIELDS = ("in_w", "out_w", "stride_w", "pad_left")


def supports(node: Node, graph: Graph) -> bool:
    """3x3 without dilation, equal strides of 1 or 2, channels in fours, scales below 1/4."""
    if not depthwise_conv2d.supports(node, graph) or not requantization.conv_fits(node, graph):
        return False
    window = geometry.window(node, graph)
    shape = window.kernel_h, window.kernel_w, window.dilation_h, window.dilation_w
    if shape != (3, 3, 1, 1) or window.stride_w not in (1, 2) or window.in_c % CHANNELS:
        return False
    if window.in_c != window.out_c:
        return False
    return requantization.short_scales(node, graph) is not None


def pairs(window: Window) -> int:
    """Column pairs that one output row touches."""
    return (-(-window.out_w // 2) if window.stride_w == 1 else window.out_w) + 1


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step; the scratch holds four channels of its columns."""
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    scratch = pairs(window) * PAIR_BYTES
    return RowContract((reads,), writes, window.out_h, scratch, overlap="same_address")


def pack(node: Node, graph: Graph) -> Packed:
    """One record of eight words a channel."""
    window = geometry.window(node, graph)
    weights = geometry.weights_of(node, graph)[0].astype(np.int64)
    scales = requantization.short_scales(node, graph)
    assert scales is not None
    records: NDArray[np.int64] = np.empty((window.in_c, 3 + len(_TAPS)), np.int64)
    records[:, 0] = geometry.folded(node, graph, weights.sum((0, 1)))
    records[:, 1:3] = scales
    for at, (low, high) in enumerate(_TAPS):
        records[:, 3 + at] = (weights[low] & 0xFFFF) | (weights[high] << 16)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
    params |= {"channels": window.in_c, "pairs": pairs(window), **geometry.zero_points(node, graph)}
    comment = f"int32 {records.shape}: bias, factor, divisor, pairs of weights"
    return Packed(params, (Constant("records", records.astype(np.int32).reshape(-1), comment),))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(1, 3, 3, channels)`."""
    records = packed.constants[0].array.reshape(-1, 3 + len(_TAPS)).astype(np.int64)
    weights: NDArray[np.int8] = np.empty(graph[node.inputs[1]].shape, np.int8)
    for at, (low, high) in enumerate(_TAPS):
        weights[(0, *low)] = records[:, 3 + at] & 0xFF
        weights[(0, *high)] = (records[:, 3 + at] >> 16) & 0xFF
    return weights


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What one inference executes.

    Outputs by stride (two at a time with stride 1) and the odd ones, column pairs packed by the
    loop and one by one, fours of channels, rows, elements clamped.
    """
    window = geometry.window(node, graph)
    pad, used = window.pad_left, pairs(window)
    fours = window.in_c // CHANNELS
    some, some_end = min(pad // 2, used), min((window.in_w + pad + 1) // 2, used)
    inner = max(0, min((window.in_w + pad) // 2, used) - (pad + 1) // 2)
    tops = np.arange(window.out_h) * window.stride_h - window.pad_top
    complete = int(((tops >= 0) & (tops + 3 <= window.in_h)).sum())
    touched = max(0, some_end - some)
    edges = complete * (touched - inner) + (window.out_h - complete) * touched
    channels = window.out_h * window.in_c
    one_by_one = window.stride_w == 2
    clamped = clamp_limits(node, graph) != (-128, 127)
    return {
        "outputs_two": 0 if one_by_one else channels * (window.out_w // 2),
        "outputs_one": channels * (window.out_w if one_by_one else window.out_w % 2),
        "pairs": complete * fours * inner,
        "runs": complete * fours * (inner > 0),
        "edge_pairs": fours * edges + window.out_h * (used - touched),
        "fours": window.out_h * fours,
        "rows": window.out_h,
        "clamped": channels * window.out_w * clamped,
    }
