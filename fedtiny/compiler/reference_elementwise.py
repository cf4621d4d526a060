"""The reference meaning of elementwise operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedtiny.compiler import quantization as q
from fedtiny.compiler import unary
from fedtiny.compiler.ir import Add, Attributes, Graph, Node
from fedtiny.compiler.operators import Mul, Sub, Unary
from fedtiny.compiler.reference_common import Array, Run, activate, operand, saturate


def _unary_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, Unary)
    return unary.apply(x, node.attributes)


def _unary_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, Unary)
    source, target = (q.quantization_of(graph, name) for name in (node.inputs[0], node.output))
    looked_up: Array = unary.table(node.attributes, source, target)[x.astype(np.int64) + 128]
    return looked_up


def _binary_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    a, y = node.attributes, operand(graph, values, node.inputs[1])
    assert isinstance(a, Add | Sub | Mul)
    if isinstance(a, Sub):
        return activate(y - x if a.reverse else x - y, a.activation)
    return activate(x + y if isinstance(a, Add) else x * y, a.activation)


def _sum_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    p = q.add_parameters(node, graph)
    y = operand(graph, values, node.inputs[1])
    a = (x.astype(np.int64) + p.offset_a) << p.left_shift
    b = (y.astype(np.int64) + p.offset_b) << p.left_shift
    a = q.multiply_by_quantized_multiplier(a, p.multiplier_a, p.shift_a)
    b = q.multiply_by_quantized_multiplier(b, p.multiplier_b, p.shift_b)
    if isinstance(node.attributes, Sub):
        total = b - a if node.attributes.reverse else a - b
    else:
        total = a + b
    scaled = q.multiply_by_quantized_multiplier(total, p.multiplier_out, p.shift_out)
    return saturate(graph, node, scaled + p.offset_out)


def _product_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    y = operand(graph, values, node.inputs[1])
    a = x.astype(np.int64) - q.zero_point_of(graph, node.inputs[0])
    b = y.astype(np.int64) - q.zero_point_of(graph, node.inputs[1])
    scaled = q.multiply_by_quantized_multiplier(a * b, *q.mul_multiplier(node, graph))
    return saturate(graph, node, scaled + q.zero_point_of(graph, node.output))


FLOAT: Mapping[type[Attributes], Run] = {
    Add: _binary_float,
    Mul: _binary_float,
    Sub: _binary_float,
    Unary: _unary_float,
}
INT8: Mapping[type[Attributes], Run] = {
    Add: _sum_int8,
    Mul: _product_int8,
    Sub: _sum_int8,
    Unary: _unary_int8,
}
