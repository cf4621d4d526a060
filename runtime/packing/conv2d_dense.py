"""Dense int8 convolution of a few output pixels at a time (see src/dense_dsp.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits
from fedtiny.runtime.contract import Constant, Overlap, Packed, RowContract
from fedtiny.runtime.packing import conv2d_im2col, geometry, requantization
from fedtiny.runtime.packing.geometry import Window

MOST_PIXELS, LEAST_PIXELS = 5, 2
FOUR = 4

_FIELDS = (
    *("in_w", "in_c", "out_w", "out_c", "kernel_h", "kernel_w"),
    *("stride_w", "dilation_h", "pad_left"),
)


def supports(node: Node, graph: Graph) -> bool:
    """Any stride and padding, one group, no horizontal dilation, scales below 1/4."""
    if not conv2d_im2col.supports(node, graph) or geometry.window(node, graph).dilation_w > 1:
        return False
    return requantization.short_scales(node, graph) is not None


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step; the scratch holds the inputs of a tile, and one padded kernel row.

    A tile's inputs are read before its outputs are written, so that outputs which never get ahead
    of the inputs may lie on them.
    """
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    patch = window.kernel_h * _fours(window) * FOUR * 2 * max(_tiles(window))
    scratch = patch + FOUR * _fours(window)
    behind = window.pad_left == 0 and window.out_c <= window.stride_w * window.in_c
    overlap: Overlap = "same_address" if behind else "none"
    return RowContract((reads,), writes, window.out_h, scratch, overlap=overlap)


def pack(node: Node, graph: Graph) -> Packed:
    """Weights in whole fours of every kernel row; bias, factor and divisor of every channel."""
    window = geometry.window(node, graph)
    rows = geometry.weights_of(node, graph).reshape(window.out_c, window.kernel_h, -1)
    width = FOUR * _fours(window)
    weights: NDArray[np.int8] = np.zeros((window.out_c, window.kernel_h, width), np.int8)
    weights[..., : rows.shape[2]] = rows
    scales = requantization.short_scales(node, graph)
    assert scales is not None
    bias = geometry.folded_bias(node, graph).astype(np.int64)
    channels = np.column_stack([bias, scales]).astype(np.int32)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
    params |= {"most_pixels": max(_tiles(window)), **geometry.zero_points(node, graph)}
    constants = (
        Constant("weights", weights.reshape(-1), f"int8 {weights.shape}: in whole fours"),
        Constant(
            "channels", channels.reshape(-1), f"int32 {channels.shape}: bias, factor, divisor"
        ),
    )
    return Packed(params, constants, frozenset(f"dense{tile}" for tile in _tiles(window)))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    shape = graph[node.inputs[1]].shape
    rows = packed.constants[0].array.reshape(shape[0], shape[1], -1)
    return rows[..., : shape[2] * shape[3]].reshape(shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What one inference executes.

    Fours of channels by the pixels of their tiles, channels of tiles, their outputs, fours
    expanded, kernel rows of pixels, those with padding, those outside the image, the bytes in both,
    those with a rest, tiles, rows, elements clamped.
    """
    window = geometry.window(node, graph)
    tiles, fours = _tiles(window), window.kernel_h * _fours(window)
    channels = window.out_h * window.out_c
    pixels = sum(tiles)
    top = np.arange(window.out_h)[:, None] * window.stride_h - window.pad_top
    rows = top + np.arange(window.kernel_h) * window.dilation_h
    rows_inside = int(((rows >= 0) & (rows < window.in_h)).sum())
    left = np.arange(window.out_w) * window.stride_w - window.pad_left
    columns_inside = int(((left >= 0) & (left + window.kernel_w <= window.in_w)).sum())
    kernel_rows = window.out_h * window.kernel_h * pixels
    padded = kernel_rows - rows_inside * columns_inside
    bytes_ = window.kernel_w * window.in_c
    found = {f"fours{n}": channels * fours * tiles.count(n) for n in range(2, MOST_PIXELS + 1)}
    return {
        **found,
        "tile_channels": channels * len(tiles),
        "outputs": channels * pixels,
        "expanded": kernel_rows * _fours(window),
        "kernel_rows": kernel_rows,
        "padded": padded,
        "padded_rows": (window.out_h * window.kernel_h - rows_inside) * pixels,
        "padded_bytes": padded * bytes_,
        "rests": kernel_rows * (bytes_ % FOUR > 0),
        "tiles": window.out_h * len(tiles),
        "rows": window.out_h,
        "clamped": channels * window.out_w * (clamp_limits(node, graph) != (-128, 127)),
    }


def _fours(window: Window) -> int:
    """Of one kernel row."""
    return -(-window.kernel_w * window.in_c // FOUR)


def _tiles(window: Window) -> list[int]:
    """Pixels of every tile of a row, as even as possible; one pixel is computed twice."""
    count = -(-window.out_w // MOST_PIXELS)
    sizes = [(window.out_w + i) // count for i in range(count)]
    return [max(LEAST_PIXELS, size) for size in sizes]
