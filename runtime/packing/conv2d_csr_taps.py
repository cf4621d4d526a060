"""Convolution over nonzeros whose distances count taps, not elements of the tile.

Taps are close together where the tile's elements are far apart, so that few distances need more
than a byte, however few weights are left. What it takes is a table of where each tap lies, which
the kernel makes for every row.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import conv2d_csr, csr, geometry
from fedtiny.runtime.packing.tile import tile

LANES = conv2d_csr.LANES

_FIELDS = (
    *("in_w", "in_c", "out_w", "out_c", "kernel_h", "kernel_w"),
    *("stride_w", "dilation_h", "dilation_w", "pad_left"),
)


def supports(node: Node, graph: Graph) -> bool:
    """What `conv2d_csr` supports, without groups."""
    return conv2d_csr.supports(node, graph) and geometry.window(node, graph).groups == 1


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step; the scratch is one tile and the table."""
    found = conv2d_csr.contract(node, graph)
    return replace(found, scratch_bytes=2 * (_tile_words(node, graph) + _taps(node, graph)))


def pack(node: Node, graph: Graph) -> Packed:
    """Counts, in bytes where they fit, and (delta, weight) entries."""
    counts, entries = csr.encode(rows(node, graph), _index(node, graph))
    wide = int(counts.max(initial=0)) > np.iinfo(np.uint8).max
    stored = np.frombuffer(counts.astype("<u2" if wide else "u1").tobytes(), np.uint8)
    constants = (
        Constant("counts", stored, f"uint{8 << wide} ({counts.size}): entries of each output", 2),
        Constant("entries", entries, "uint8 (entries, 2): delta in taps, int8 weight", 1),
        Constant("bias", geometry.folded_bias(node, graph), f"int32 ({counts.size}), folded"),
        *geometry.multiplier_constants(node, graph),
    )
    return Packed(tile_params(node, graph) | {"wide": int(wide)}, constants)


def tile_params(node: Node, graph: Graph) -> dict[str, int | float]:
    """Fields that say what tile and table are, and how outputs are scaled."""
    window = geometry.window(node, graph)
    shape = tile(window, LANES)
    return {
        **window.params(*_FIELDS),
        **geometry.clamp(node, graph),
        **geometry.zero_points(node, graph),
        "phases": shape.phases,
        "columns": shape.columns,
        "tile_words": _tile_words(node, graph),
    }


def rows(node: Node, graph: Graph) -> NDArray[np.int8]:
    """Weights by output, `(out_c, taps)`."""
    weights = geometry.weights_of(node, graph)
    return weights.reshape(len(weights), -1).astype(np.int8)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    stored, entries = (packed.constants[i].array for i in range(2))
    kind = "<u2" if packed.params["wide"] else "u1"
    counts = np.frombuffer(stored.tobytes(), kind).astype(np.uint16)
    weights = csr.decode(counts, entries.astype(np.uint8), _index(node, graph))
    return weights.reshape(graph[node.inputs[1]].shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Those of `conv2d_csr`, and what the table takes."""
    found = tile_features(node, graph)
    entries = csr.entry_count(rows(node, graph), _index(node, graph))
    return {**found, "tile_entries": found["tiles"] * entries}


def tile_features(node: Node, graph: Graph) -> dict[str, float]:
    """Those of `conv2d_csr`; of the table, kernel columns, and channels in fours and alone."""
    window = geometry.window(node, graph)
    columns = window.out_h * window.kernel_h * window.kernel_w
    return {
        **conv2d_csr.tile_features(node, graph, tile(window, LANES), LANES),
        "table_columns": columns,
        "table_fours": columns * (window.in_c // 4),
        "table_singles": columns * (window.in_c % 4),
    }


def _tile_words(node: Node, graph: Graph) -> int:
    """Words of 16 bits that hold the tile, which is followed by the table."""
    return -(-tile(geometry.window(node, graph), LANES).scratch // 2)


def _taps(node: Node, graph: Graph) -> int:
    window = geometry.window(node, graph)
    return window.kernel_h * window.kernel_w * window.in_c


def _index(node: Node, graph: Graph) -> NDArray[np.int64]:
    outputs = len(geometry.weights_of(node, graph))
    taps = _taps(node, graph)
    return np.broadcast_to(np.arange(taps, dtype=np.int64), (outputs, taps))
