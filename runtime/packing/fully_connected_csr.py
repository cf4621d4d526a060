"""Fully connected over nonzeros: a stream of nonzeros for each output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import csr, fully_connected, fully_connected_steps, geometry


def supports(node: Node, graph: Graph) -> bool:
    """Up to 65,535 inputs; int8 layers whose requantization is a line."""
    if graph[node.inputs[1]].shape[1] > geometry.U16_MAX:
        return False
    if graph[node.output].dtype == "int8":
        return fully_connected_steps.supports(node, graph)
    return fully_connected.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """int8: counts and (delta, weight) entries. float32: counts, columns and values."""
    weights = geometry.weights_of(node, graph)
    outputs, inputs = weights.shape
    params = {"inputs": inputs, "outputs": outputs, **geometry.clamp(node, graph)}
    if weights.dtype == np.int8:
        counts, entries = csr.encode(weights.astype(np.int8), _columns(weights))
        return Packed(
            {**params, **fully_connected_steps.line_params(node, graph)},
            (
                Constant("counts", counts, f"uint16 ({outputs}): entries of each output", 2),
                Constant("entries", entries, "uint8 (entries, 2): delta, int8 weight", 1),
                Constant("bias", geometry.folded_bias(node, graph), f"int32 ({outputs}), folded"),
            ),
        )
    mask = weights != 0
    counts = mask.sum(1).astype(np.uint16)
    columns = _columns(weights)[mask].astype(np.uint16)
    constants = (
        Constant("counts", counts, f"uint16 ({outputs}): nonzeros of each output", 2),
        Constant("columns", columns, "uint16 (nonzeros): the input", 2),
        Constant("values", weights[mask], "float32 (nonzeros)"),
        geometry.bias_constant(node, graph),
    )
    return Packed(params, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    weights = geometry.weights_of(node, graph)
    arrays = [constant.array for constant in packed.constants]
    counts = arrays[0].astype(np.uint16)
    if weights.dtype == np.int8:
        return csr.decode(counts, arrays[1].astype(np.uint8), _columns(weights))
    dense: NDArray[np.float32] = np.zeros(weights.shape, np.float32)
    dense[np.repeat(np.arange(len(counts)), counts), arrays[1].astype(np.int64)] = arrays[2]
    return dense


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Nonzeros, outputs, and those that have nonzeros."""
    weights = geometry.weights_of(node, graph)
    counts = np.count_nonzero(weights, axis=1)
    found = {"nonzero_macs": int(counts.sum()), "outputs": len(weights)}
    return {**found, "read_outputs": int(np.count_nonzero(counts)), "rows": 1}


def _columns(weights: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.broadcast_to(np.arange(weights.shape[1], dtype=np.int64), weights.shape)
