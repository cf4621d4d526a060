"""Fully connected over nonzeros by bitmaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import bitmap, fully_connected, fully_connected_steps, geometry


def supports(node: Node, graph: Graph) -> bool:
    """int8 layers whose requantization is a line."""
    return fully_connected_steps.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Maps and nonzeros."""
    weights = geometry.weights_of(node, graph).astype(np.int8)
    outputs, inputs = weights.shape
    maps, nonzeros = bitmap.encode(weights)
    words = bitmap.words(inputs)
    params = {"outputs": outputs, "map_words": words, **geometry.clamp(node, graph)}
    return Packed(
        {**params, **fully_connected_steps.line_params(node, graph)},
        (
            Constant("maps", maps, f"uint32 ({outputs}, {words}): which weights are there"),
            Constant("weights", nonzeros, "int8 (nonzeros)", 1),
            Constant("bias", geometry.folded_bias(node, graph), f"int32 ({outputs}), folded"),
        ),
    )


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    maps, nonzeros = (packed.constants[i].array for i in range(2))
    shape = geometry.weights_of(node, graph).shape
    return bitmap.decode(maps.astype(np.uint32), nonzeros.astype(np.int8), *shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Nonzeros, words of maps, outputs."""
    weights = geometry.weights_of(node, graph)
    outputs, inputs = weights.shape
    return {
        "nonzero_macs": int(np.count_nonzero(weights)),
        "words": outputs * bitmap.words(inputs),
        "outputs": outputs,
        "rows": 1,
    }
