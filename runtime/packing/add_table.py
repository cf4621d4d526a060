"""Elementwise sum of two int8 activations by one table (src/add_table.h)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import (
    ADD_LEFT_SHIFT,
    AddParameters,
    add_parameters,
    clamp_limits,
    multiply_by_quantized_multiplier,
    zero_point_of,
)
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import add, geometry

_HALF = (1 << 30, 0)


def supports(node: Node, graph: Graph) -> bool:
    """int8, a scale that two multiplications can express, and no clamp inside of int8."""
    if not add.supports(node, graph) or graph[node.output].dtype != "int8":
        return False
    p = add_parameters(node, graph)
    halved = _HALF in ((p.multiplier_a, p.shift_a), (p.multiplier_b, p.shift_b))
    exact = p.shift_out <= -2 and p.multiplier_out != 0
    return halved and exact and clamp_limits(node, graph) == (-128, 127)


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step, which may overwrite either input."""
    return add.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """The table of what the other input contributes."""
    p = add_parameters(node, graph)
    shifted = 0 if (p.multiplier_a, p.shift_a) == _HALF else 1
    output = graph[node.output]
    params = {
        "elements": output.size // geometry.row_count(output.shape),
        "factor": 2 * p.multiplier_out - (1 << 32),
        "divisor": 1 << (32 + p.shift_out),
        "shifted": shifted,
        "relu": int(clamp_limits(node, graph)[0] >= zero_point_of(graph, node.output)),
        "output_zero_point": p.offset_out,
    }
    table = _table(p, shifted)
    comment = "int32 (256): by the bits of input " + str(1 - shifted)
    return Packed(params, (Constant("table", table, comment),))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """An add has no weights: an empty array."""
    return add.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs and output rows."""
    return add.features(node, graph)


def _table(p: AddParameters, shifted: int) -> NDArray[np.int32]:
    """Of every uint8, what it adds as int8, with the other input's zero point."""
    offset, multiplier, shift = (
        (p.offset_b, p.multiplier_b, p.shift_b)
        if shifted == 0
        else (p.offset_a, p.multiplier_a, p.shift_a)
    )
    other_offset = p.offset_a if shifted == 0 else p.offset_b
    values = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)
    scaled = multiply_by_quantized_multiplier((values + offset) << p.left_shift, multiplier, shift)
    return (scaled + (other_offset << (ADD_LEFT_SHIFT - 1))).astype(np.int32)
