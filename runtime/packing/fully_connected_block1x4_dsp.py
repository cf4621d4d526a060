"""Fully connected over blocks of four neighbouring inputs for DSP cores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import fully_connected, fully_connected_dsp, geometry

BLOCK = 4
MOST_INPUTS = 256 * BLOCK


def supports(node: Node, graph: Graph) -> bool:
    """Up to 1024 inputs, a multiple of four; lines in one high multiplication and a shift."""
    inputs = graph[node.inputs[1]].shape[1]
    fits = inputs <= MOST_INPUTS and inputs % BLOCK == 0
    return fits and fully_connected_dsp.has_line(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One step that reads its whole input as one row."""
    return fully_connected.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Blocks that hold a nonzero: which inputs, and four weights."""
    blocked = _blocked(node, graph)
    outputs, (_, index) = len(blocked), np.nonzero(blocked.any(2))
    counts = blocked.any(2).sum(1)
    weights = blocked[blocked.any(2)].reshape(-1)
    params = {"outputs": outputs, **geometry.clamp(node, graph)}
    return Packed(
        {**params, **fully_connected_dsp.line_params(node, graph)},
        (
            Constant("weights", weights, f"int8 ({len(index)}, 4)"),
            Constant("bias", fully_connected_dsp.bias(node, graph), f"int32 ({outputs}), folded"),
            Constant("counts", counts.astype(np.uint16), f"uint16 ({outputs}): blocks", 2),
            Constant("indices", index.astype(np.uint8), f"uint8 ({len(index)}): input / 4", 1),
        ),
    )


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(outputs, inputs)`."""
    weights, _, counts, index = (constant.array for constant in packed.constants)
    blocked = np.zeros_like(_blocked(node, graph))
    output = np.repeat(np.arange(len(blocked)), counts.astype(np.int64))
    blocked[output, index.astype(np.int64)] = weights.reshape(-1, BLOCK)
    return blocked.reshape(len(blocked), -1)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Pairs of blocks, single ones, outputs, and outputs clamped afterwards."""
    counts = _blocked(node, graph).any(2).sum(1)
    outputs = len(counts)
    return {
        "block_pairs": int((counts // 2).sum()),
        "blocks": int((counts % 2).sum()),
        "outputs": outputs,
        "clamped": outputs * (clamp_limits(node, graph) != (-128, 127)),
        "rows": 1,
    }


def _blocked(node: Node, graph: Graph) -> NDArray[np.generic]:
    weights = geometry.weights_of(node, graph)
    return weights.reshape(len(weights), -1, BLOCK)
