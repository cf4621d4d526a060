"""Fully connected over nonzeros for DSP cores: whole words of two (delta, weight) entries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import csr, fully_connected, fully_connected_dsp, geometry

_PASS = 4  # words of a pass of the inner loop


def supports(node: Node, graph: Graph) -> bool:
    """Up to 65,535 inputs; layers whose requantization is one high multiplication and a shift."""
    narrow = graph[node.inputs[1]].shape[1] <= geometry.U16_MAX
    return narrow and fully_connected_dsp.has_line(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Entries of every output; an odd number is made even by a first one that does nothing."""
    weights = geometry.weights_of(node, graph)
    outputs = len(weights)
    counts, entries = csr.encode(weights.astype(np.int8), _columns(weights))
    words = (counts.astype(np.int64) + 1) // 2
    places = np.arange(len(entries) // 2) + np.repeat(np.cumsum(2 * words - counts), counts)
    padded: NDArray[np.uint8] = np.zeros((2 * int(words.sum()), 2), np.uint8)
    padded[places] = entries.reshape(-1, 2)
    params = {"outputs": outputs, **geometry.clamp(node, graph)}
    return Packed(
        {**params, **fully_connected_dsp.line_params(node, graph)},
        (
            Constant("entries", padded.reshape(-1), "uint8 (entries, 2): delta, int8 weight"),
            Constant("bias", fully_connected_dsp.bias(node, graph), f"int32 ({outputs}), folded"),
            Constant("counts", words.astype(np.uint16), f"uint16 ({outputs}): words", 2),
        ),
    )


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    entries, _, words = (constant.array for constant in packed.constants)
    columns = _columns(geometry.weights_of(node, graph))
    return csr.decode((2 * words).astype(np.uint16), entries.astype(np.uint8), columns)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Words of entries, passes over four of them, outputs, and outputs clamped afterwards."""
    weights = geometry.weights_of(node, graph)
    words = _words(weights)
    outputs = len(weights)
    return {
        "words": int(words.sum()),
        "singles": int((words % _PASS).sum()),
        "passes": int((words // _PASS).sum()),
        "outputs": outputs,
        "clamped": outputs * (clamp_limits(node, graph) != (-128, 127)),
        "rows": 1,
    }


def _words(weights: NDArray[np.generic]) -> NDArray[np.int64]:
    """Words of every output."""
    output, column = np.nonzero(weights)
    first = np.diff(output, prepend=-1) != 0
    distance = np.where(first, column, column - np.roll(column, 1))
    counts = np.bincount(output, 1 + distance // csr.DELTA_MAX, len(weights)).astype(np.int64)
    return (counts + 1) // 2


def _columns(weights: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.broadcast_to(np.arange(weights.shape[1], dtype=np.int64), weights.shape)
