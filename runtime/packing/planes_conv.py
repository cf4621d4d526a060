"""Convolution over nonzeros on padded channel planes: a nonzero is a byte offset and a value.

Offsets count from what tap 0 of an output plane's first pixel reads; `planes_source` says where.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing.geometry import Window
from fedtiny.runtime.packing.layouts import planes
from fedtiny.runtime.packing.planes_source import (
    Source,
    compact_start,
    direct,
    pixel_vectors,
    scratch_elements,
    source,
)

MOST_STRIDE = 8
CACHE_ELEMENTS = 6 << 10
"""Floats in the part of a first-level cache that is left for inputs; for the cost model."""

TILE_VECTORS = 24
"""Of 16 bytes that a tile holds on cores with 32 registers; for the cost model."""


def supports(node: Node, graph: Graph) -> bool:
    """At most one pixel of padding, no dilation, windows that reach one output pixel further."""
    if not geometry.is_image(node, graph):
        return False
    w = geometry.window(node, graph)
    strides = w.stride_h, w.stride_w
    if not w.fits() or max(strides) > MOST_STRIDE or (w.dilation_h, w.dilation_w) != (1, 1):
        return False
    last = (w.out_h - 1) * w.stride_h + w.kernel_h - 1 - w.pad_top
    right = (w.out_w - 1) * w.stride_w + w.kernel_w - 1 - w.pad_left
    if max(w.pad_top, w.pad_left) > 1 or last > w.in_h or right > w.in_w:
        return False
    return direct(w) or (w.kernel_w - 1) // w.stride_w <= 1


def contract(node: Node, graph: Graph, found: Source | None = None) -> RowContract:
    """One step that reads its whole input; the scratch holds what taps do not read directly.

    Here and below, `found` is where taps read; by default the cheapest place.
    """
    reads, writes = Access(node.inputs[0], 1, 0), Access(node.output, 1, 1)
    size = scratch_elements(node, graph, found or source(node, graph)) * geometry.element_bytes(
        node, graph
    )
    return RowContract((reads,), writes, 1, size)


def pack(node: Node, graph: Graph) -> Packed:
    """Counts, byte offsets and values, in the order of dense weights."""
    weights, offsets = taps(node, graph)
    mask = weights != 0
    counts = mask.sum(1).astype(np.uint16)
    constants = (
        Constant("counts", counts, f"uint16 ({counts.size}): nonzeros of each output channel", 2),
        Constant("offsets", offsets[mask].astype(np.uint32), "uint32 (nonzeros): bytes"),
        Constant("values", weights[mask], "float32 (nonzeros)"),
        geometry.bias_constant(node, graph),
    )
    return Packed(geometry_params(node, graph) | geometry.clamp(node, graph), constants)


def geometry_params(
    node: Node, graph: Graph, found: Source | None = None
) -> dict[str, int | float]:
    """Fields of a parameter struct that say where planes, their parts and padding lie."""
    w, found = geometry.window(node, graph), found or source(node, graph)
    before, after = planes(graph[node.inputs[0]]), planes(graph[node.output])
    return {
        **w.params("in_c", "stride_h", "stride_w", "out_c", "out_h", "out_w"),
        "in_start": before.lead - w.pad_top * before.pitch - w.pad_left,
        "in_plane": before.plane,
        "in_pitch": before.pitch,
        "in_rows": w.pad_top + w.in_h + 1,
        "parts_h": found.top,
        "parts_w": found.left,
        "rows": found.rows,
        "part": found.part,
        "compact": compact_start(w, found) if found.mode == "columns" else 0,
        "out_lead": after.lead,
        "out_plane": after.plane,
        "out_tail": after.tail,
    }


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights as the graph has them."""
    counts, where, values = (packed.constants[i].array for i in range(3))
    return scatter(counts.tolist(), where, values, node, graph)


def scatter(
    counts: list[int],
    where: NDArray[np.generic],
    values: NDArray[np.generic],
    node: Node,
    graph: Graph,
) -> NDArray[np.generic]:
    """Weights as the graph has them, from each output's nonzeros.

    Args:
        counts: Nonzeros by output.
        where: Their byte offsets.
        values: Their values.
        node: The node.
        graph: Its graph.
    """
    weights, offsets = taps(node, graph)
    found = np.zeros(weights.shape, weights.dtype)
    starts = np.cumsum([0, *counts])
    for o in range(len(weights)):
        part = slice(starts[o], starts[o + 1])
        index = {offset: tap for tap, offset in enumerate(offsets[o].tolist())}
        found[o, [index[i] for i in where[part].tolist()]] = values[part]
    shape = graph[node.inputs[1]].shape
    return found.T.reshape(shape) if node.op == "depthwise_conv2d" else found.reshape(shape)


def features(
    node: Node, graph: Graph, tile_vectors: int = TILE_VECTORS, found: Source | None = None
) -> dict[str, float]:
    """Work by what it grows with: vectors, nonzeros and channels a tile, then the output's.

    `far_macs` are the vectors that a first-level cache is not expected to hold.

    Args:
        node: The node.
        graph: Its graph.
        tile_vectors: Vectors of 16 bytes that a tile holds.
        found: Where taps read.
    """
    w = geometry.window(node, graph)
    nonzeros = int(np.count_nonzero(geometry.weights_of(node, graph)))
    output = output_features(node, graph, found)
    vectors = output["vectors"] / w.out_c
    tiles = -(-vectors // tile_vectors)
    read = w.in_c * tile_elements(w, found or source(node, graph), 4 * tile_vectors)
    return {
        "nonzero_macs": nonzeros * w.out_h * w.out_w,
        "far_macs": nonzeros * vectors * max(0.0, 1 - CACHE_ELEMENTS / read),
        "vector_macs": nonzeros * vectors,
        "tile_nonzeros": nonzeros * tiles,
        "tile_channels": w.out_c * tiles,
        **output,
    }


def tile_elements(w: Window, found: Source, pixels: int) -> int:
    """Elements that a tile of so many pixels reads of one input channel, about."""
    if found.mode == "columns":
        return found.plane
    span = min(pixels, w.out_h * found.pitch) + (found.rows - w.out_h) * found.pitch + 2
    return span * max(1, found.top) * max(1, found.left)


def output_features(node: Node, graph: Graph, found: Source | None = None) -> dict[str, float]:
    """What does not grow with weights: vectors of 16 bytes, rows and planes, what is moved."""
    w, found = geometry.window(node, graph), found or source(node, graph)
    rows = w.in_c * found.top * found.rows
    return {
        "vectors": w.out_c * pixel_vectors(node, graph, found),
        "image_rows": w.out_c * w.out_h,
        "planes": w.out_c,
        **dict.fromkeys(("split", "split_rows", "column_rows", "compact_rows"), 0),
        **_moved(w, found, rows, geometry.element_bytes(node, graph)),
    }


def _moved(w: Window, found: Source, rows: int, element_bytes: int) -> dict[str, float]:
    if found.mode == "columns":
        return {"column_rows": rows * found.left, "compact_rows": w.out_c * w.out_h}
    vectors = -(-found.pitch * element_bytes // 16) * found.left
    return {"split": rows * vectors, "split_rows": rows}


def taps(
    node: Node, graph: Graph, found: Source | None = None
) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    """Weights by output, and the byte offsets of their inputs, both `(out_c, taps)`.

    Taps are in the order ky, kx, channel, which is that of the graph's weights.
    """
    w = geometry.window(node, graph)
    depthwise = node.op == "depthwise_conv2d"
    inputs = 1 if depthwise else w.in_c // w.groups
    ky, kx, c = np.meshgrid(
        np.arange(w.kernel_h), np.arange(w.kernel_w), np.arange(inputs), indexing="ij"
    )
    found = found or source(node, graph)
    plane, within = found.plane, found.offset(w, ky, kx)
    group = np.arange(w.out_c) // (w.out_c // w.groups)
    first = (group * inputs * plane)[:, None]
    offsets = (first + (c * plane + within).reshape(1, -1)) * geometry.element_bytes(node, graph)
    weights = geometry.weights_of(node, graph)
    rows = weights.reshape(-1, w.out_c).T if depthwise else weights.reshape(w.out_c, -1)
    return rows, offsets.astype(np.int64)
