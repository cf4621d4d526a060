"""Convolution over nonzeros by bitmaps: fewer bytes than distances where many weights are there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import bitmap, conv2d_csr_taps, geometry


def supports(node: Node, graph: Graph) -> bool:
    """What `conv2d_csr_taps` supports."""
    return conv2d_csr_taps.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step; the scratch is one tile and the table."""
    return conv2d_csr_taps.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Maps and nonzeros."""
    weights = conv2d_csr_taps.rows(node, graph)
    maps, nonzeros = bitmap.encode(weights)
    outputs, taps = weights.shape
    params = conv2d_csr_taps.tile_params(node, graph)
    params["map_words"] = bitmap.words(taps)
    constants = (
        Constant(
            "maps", maps, f"uint32 ({outputs}, {bitmap.words(taps)}): which weights are there"
        ),
        Constant("weights", nonzeros, "int8 (nonzeros)", 1),
        Constant("bias", geometry.folded_bias(node, graph), f"int32 ({outputs}), folded"),
        *geometry.multiplier_constants(node, graph),
    )
    return Packed(params, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, OHWI."""
    maps, nonzeros = (packed.constants[i].array for i in range(2))
    outputs, taps = conv2d_csr_taps.rows(node, graph).shape
    weights = bitmap.decode(maps.astype(np.uint32), nonzeros.astype(np.int8), outputs, taps)
    return weights.reshape(graph[node.inputs[1]].shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Nonzeros and words of maps in whole tiles, and what tiles and the table take."""
    found = conv2d_csr_taps.tile_features(node, graph)
    weights = conv2d_csr_taps.rows(node, graph)
    found["tile_entries"] = found["tiles"] * int(np.count_nonzero(weights))
    found["tile_words"] = found["tiles"] * len(weights) * bitmap.words(weights.shape[1])
    return found
