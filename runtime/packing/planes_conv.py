"""Convolution over nonzeros on padded channel planes: a nonzero is a byte offset and a value.

Offsets count from what tap 0 of an output plane's first pixel reads. Where the output planes have
the pitch of the input planes (stride 1, same size) they point into the input itself; otherwise into
scratch, where the kernel splits each input plane into one plane for every phase of the stride, with
the pitch of the output.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing.geometry import Window
from fedtiny.runtime.packing.layouts import VECTOR, planes

MOST_STRIDE = 8
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
    return _direct(w) or (w.kernel_w - 1) // w.stride_w <= 1


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input; the scratch holds the phases of the stride."""
    w = geometry.window(node, graph)
    reads, writes = Access(node.inputs[0], 1, 0), Access(node.output, 1, 1)
    size = 0 if _direct(w) else w.in_c * _split_size(w) + 3 * VECTOR
    return RowContract((reads,), writes, 1, size * geometry.element_bytes(node, graph))


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


def geometry_params(node: Node, graph: Graph) -> dict[str, int | float]:
    """Fields of a parameter struct that say where planes, phases and padding lie."""
    w = geometry.window(node, graph)
    before, after = planes(graph[node.inputs[0]]), planes(graph[node.output])
    top, left = (0, 0) if _direct(w) else _phases(w)
    return {
        **w.params("in_c", "stride_h", "stride_w", "out_c", "out_h", "out_w"),
        "in_start": before.lead - w.pad_top * before.pitch - w.pad_left,
        "in_plane": before.plane,
        "in_pitch": before.pitch,
        "in_rows": w.pad_top + w.in_h + 1,
        "phases_h": top,
        "phases_w": left,
        "rows": _split_rows(w),
        "phase": _phase_size(w),
        "out_lead": after.lead,
        "out_plane": after.plane,
        "out_tail": 2 * VECTOR,
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


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Work by what it grows with: vectors of 16 bytes, nonzeros and channels a tile, rows."""
    w = geometry.window(node, graph)
    nonzeros = int(np.count_nonzero(geometry.weights_of(node, graph)))
    vectors = -(-w.out_h * (w.out_w + 1) * geometry.element_bytes(node, graph) // 16)
    tiles = -(-vectors // TILE_VECTORS)
    split = 0 if _direct(w) else w.in_c * _split_size(w)
    return {
        "nonzero_macs": nonzeros * w.out_h * w.out_w,
        "vector_macs": nonzeros * vectors,
        "tile_nonzeros": nonzeros * tiles,
        "tile_channels": w.out_c * tiles,
        "vectors": w.out_c * vectors,
        "image_rows": w.out_c * w.out_h,
        "planes": w.out_c,
        "split": split,
        "split_rows": split // (w.out_w + 1),
    }


def taps(node: Node, graph: Graph) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    """Weights by output, and the byte offsets of their inputs, both `(out_c, taps)`.

    Taps are in the order ky, kx, channel, which is that of the graph's weights.
    """
    w = geometry.window(node, graph)
    depthwise = node.op == "depthwise_conv2d"
    inputs = 1 if depthwise else w.in_c // w.groups
    ky, kx, c = np.meshgrid(
        np.arange(w.kernel_h), np.arange(w.kernel_w), np.arange(inputs), indexing="ij"
    )
    if _direct(w):
        before = planes(graph[node.inputs[0]])
        plane, within = before.plane, ky * before.pitch + kx
    else:
        _, across = _phases(w)
        plane, one = _split_size(w), _phase_size(w)
        phase = ky % w.stride_h * across + kx % w.stride_w
        within = phase * one + ky // w.stride_h * (w.out_w + 1) + kx // w.stride_w
    group = np.arange(w.out_c) // (w.out_c // w.groups)
    first = (group * inputs * plane)[:, None]
    offsets = (first + (c * plane + within).reshape(1, -1)) * geometry.element_bytes(node, graph)
    weights = geometry.weights_of(node, graph)
    rows = weights.reshape(-1, w.out_c).T if depthwise else weights.reshape(w.out_c, -1)
    return rows, offsets.astype(np.int64)


def _direct(w: Window) -> bool:
    """Whether taps can point into the input planes: pitches are equal, offsets are distinct."""
    same = (w.out_h, w.out_w, w.stride_h, w.stride_w) == (w.in_h, w.in_w, 1, 1)
    return same and w.kernel_w <= min(3, w.in_w + 1)


def _phases(w: Window) -> tuple[int, int]:
    return min(w.stride_h, w.kernel_h), min(w.stride_w, w.kernel_w)


def _split_rows(w: Window) -> int:
    return w.out_h + (w.kernel_h - 1) // w.stride_h


def _split_size(w: Window) -> int:
    """Elements of all phases of one input plane."""
    top, left = _phases(w)
    return top * left * _phase_size(w)


def _phase_size(w: Window) -> int:
    """Elements of one phase of one input plane, with room for the last vector of its last row."""
    return -(-(_split_rows(w) * (w.out_w + 1) + VECTOR) // VECTOR) * VECTOR
