"""Convolution over nonzeros: a stream of nonzeros for each output channel, eight pixels at once.

Inputs are gathered into a tile (see `tile`); the stream says where in the tile a nonzero's first
input lies, and the inputs of the other seven pixels follow it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import csr, geometry, requantization
from fedtiny.runtime.packing.tile import Tile, gather_features, tap_offsets, tile

LANES = 8

_FIELDS = (
    *("in_w", "in_c", "out_w", "out_c"),
    *("kernel_h", "stride_w", "dilation_h", "pad_left"),
)


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, padding, dilation and groups, while offsets and counts fit 16 bits."""
    if not geometry.is_image(node, graph):
        return False
    window = geometry.window(node, graph)
    if not window.fits() or tile(window, LANES).scratch > geometry.U16_MAX:
        return False
    return graph[node.output].dtype != "int8" or requantization.conv_fits(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step; the scratch is one tile."""
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    scratch_bytes = tile(window, LANES).scratch * geometry.element_bytes(node, graph)
    return RowContract((reads,), writes, window.out_h, scratch_bytes)


def pack(node: Node, graph: Graph) -> Packed:
    """int8: counts and (delta, weight) entries. float32: counts, offsets and values."""
    window = geometry.window(node, graph)
    shape = tile(window, LANES)
    if graph[node.output].dtype == "int8":
        return pack_int8(node, graph, shape)
    weights, offsets = _taps(node, graph, shape)
    mask = weights != 0
    counts = mask.sum(1).astype(np.uint16)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
    constants = (
        Constant("counts", counts, f"uint16 ({counts.size}): nonzeros of each output channel", 2),
        Constant("offsets", offsets[mask].astype(np.uint16), "uint16 (nonzeros): in the tile", 2),
        Constant("values", weights[mask], "float32 (nonzeros)"),
        geometry.bias_constant(node, graph),
    )
    return Packed({**params, "phases": shape.phases, "columns": shape.columns}, constants)


def pack_int8(node: Node, graph: Graph, shape: Tile) -> Packed:
    """Pack int8 weights for tiles of a shape."""
    window = geometry.window(node, graph)
    weights, offsets = _taps(node, graph, shape)
    counts, entries = csr.encode(weights.astype(np.int8), offsets)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
    params |= {"phases": shape.phases, "columns": shape.columns}
    params |= geometry.zero_points(node, graph)
    constants = (
        Constant("counts", counts, f"uint16 ({counts.size}): entries of each output channel", 2),
        Constant("entries", entries, "uint8 (entries, 2): delta in the tile, int8 weight", 1),
        Constant("bias", geometry.folded_bias(node, graph), f"int32 ({counts.size}), folded"),
        *geometry.multiplier_constants(node, graph),
    )
    return Packed(params, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    shape = tile(geometry.window(node, graph), LANES)
    if graph[node.output].dtype == "int8":
        return unpack_int8(packed, node, graph, shape)
    weights, offsets = _taps(node, graph, shape)
    counts, where, values = (packed.constants[i].array for i in range(3))
    found: NDArray[np.float32] = np.zeros(weights.shape, np.float32)
    starts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    for o in range(window_outputs(node, graph)):
        part = slice(starts[o], starts[o + 1])
        index = {offset: tap for tap, offset in enumerate(offsets[o].tolist())}
        found[o, [index[i] for i in where[part].tolist()]] = values[part]
    return found.reshape(graph[node.inputs[1]].shape)


def unpack_int8(packed: Packed, node: Node, graph: Graph, shape: Tile) -> NDArray[np.generic]:
    """The int8 weights of `pack_int8`, OHWI."""
    offsets = tap_offsets(geometry.window(node, graph), shape)
    counts, entries = (packed.constants[i].array for i in range(2))
    weights = csr.decode(counts.astype(np.uint16), entries.astype(np.uint8), offsets)
    return weights.reshape(graph[node.inputs[1]].shape)


def window_outputs(node: Node, graph: Graph) -> int:
    """Output channels."""
    return graph[node.output].shape[-1]


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What work is done for: entries, channels, outputs, tiles, rows, and what gathering takes."""
    window = geometry.window(node, graph)
    return tile_features(node, graph, tile(window, LANES), LANES)


def tile_features(node: Node, graph: Graph, shape: Tile, pixels: int) -> dict[str, float]:
    """Features of a kernel that computes `pixels` output pixels a tile."""
    window = geometry.window(node, graph)
    tiles = window.out_h * -(-window.out_w // pixels)
    weights, offsets = _taps(node, graph, shape)
    nonzeros = int(np.count_nonzero(weights))
    int8 = weights.dtype == np.int8
    return {
        "nonzero_macs": nonzeros * window.out_h * window.out_w,
        "tile_entries": tiles * (csr.entry_count(weights, offsets) if int8 else nonzeros),
        "tile_channels": tiles * window.out_c,
        **gather_features(window, shape, pixels),
        **geometry.stored_features(node, graph, tiles),
        "tiles": tiles,
        "rows": window.out_h,
    }


def _taps(node: Node, graph: Graph, shape: Tile) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    """Weights `(out_c, taps)` and where their inputs lie, of the same shape."""
    offsets = tap_offsets(geometry.window(node, graph), shape)
    return geometry.weights_of(node, graph).reshape(offsets.shape), offsets
