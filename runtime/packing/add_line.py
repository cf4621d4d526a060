"""Elementwise sum of two int8 activations as one linear form, proven on all pairs of inputs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import (
    AddParameters,
    add_parameters,
    clamp_limits,
    multiply_by_quantized_multiplier,
    scale_of,
)
from fedtiny.runtime.contract import Packed, RowContract
from fedtiny.runtime.packing import add, geometry

_VALUES = np.arange(-128, 128, dtype=np.int64)
_NEAR = 2
"""How far from the nearest factors others are tried."""


@dataclass(frozen=True)
class SumLine:
    """`clamp((a * factor_a + b * factor_b + addend) >> shift, -128, 127)`, all int32."""

    factor_a: int
    factor_b: int
    addend: int
    shift: int


def line(node: Node, graph: Graph) -> SumLine | None:
    """The line of a sum, or None where none was found that equals it."""
    scales = [scale_of(graph, name) for name in (*node.inputs, node.output)]
    return _fit(add_parameters(node, graph), scales[0] / scales[2], scales[1] / scales[2])


def supports(node: Node, graph: Graph) -> bool:
    """int8, and a line."""
    int8 = graph[node.output].dtype == "int8"
    return int8 and add.supports(node, graph) and line(node, graph) is not None


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step, which may overwrite either input."""
    return add.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters only."""
    found = line(node, graph)
    assert found is not None  # what `supports` said
    output = graph[node.output]
    elements = output.size // geometry.row_count(output.shape)
    return Packed({"elements": elements, **asdict(found), **geometry.clamp(node, graph)})


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """An add has no weights: an empty array."""
    return add.unpack(packed, node, graph)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs, output rows; of both, those clamped afterwards, and rests of rows that are."""
    found = add.features(node, graph)
    inside = clamp_limits(node, graph) != (-128, 127)
    rest = found["outputs"] // found["rows"] % 4 * found["rows"]
    clamped = {"clamped": found["outputs"], "clamped_rows": found["rows"], "clamped_rests": rest}
    return {**found, **{name: count * inside for name, count in clamped.items()}}


def _sums(p: AddParameters) -> NDArray[np.int64]:
    """What the specification makes of every pair, `(256, 256)`."""
    a = (_VALUES + p.offset_a) << p.left_shift
    b = (_VALUES + p.offset_b) << p.left_shift
    scaled_a = multiply_by_quantized_multiplier(a, p.multiplier_a, p.shift_a)
    scaled_b = multiply_by_quantized_multiplier(b, p.multiplier_b, p.shift_b)
    total = (scaled_a[:, None] + scaled_b[None, :]).astype(np.int64)
    scaled = multiply_by_quantized_multiplier(total, p.multiplier_out, p.shift_out)
    sums: NDArray[np.int64] = np.clip(scaled.astype(np.int64) + p.offset_out, -128, 127)
    return sums


@lru_cache(maxsize=64)
def _fit(p: AddParameters, ratio_a: float, ratio_b: float) -> SumLine | None:
    """Search near the ratios of the scales; the addend is what all pairs allow."""
    wanted = _sums(p)
    reach = 128 * (ratio_a + ratio_b) + abs(ratio_a * p.offset_a + ratio_b * p.offset_b)
    shift = min(30, math.floor(math.log2((1 << 31) / (reach + abs(p.offset_out) + 2))))
    if shift < 1:
        return None
    near = sorted(range(-_NEAR, _NEAR + 1), key=abs)
    for step_a, step_b in ((i, j) for i in near for j in near):
        factor_a = round(math.ldexp(ratio_a, shift)) + step_a
        factor_b = round(math.ldexp(ratio_b, shift)) + step_b
        products = factor_a * _VALUES[:, None] + factor_b * _VALUES[None, :]
        least = ((wanted << shift) - products)[wanted > -128].max(initial=-(1 << 31))
        most = ((wanted + 1 << shift) - products)[wanted < 127].min(initial=1 << 31) - 1
        addend = int(least + most) // 2
        far = max(abs(int(products.min())), abs(int(products.max()))) + abs(addend)
        if least <= most and far < 1 << 31:
            return SumLine(factor_a, factor_b, addend, shift)
    return None
