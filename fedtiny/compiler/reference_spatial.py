"""The reference meaning of operators that move or pool pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedtiny.compiler import quantization as q
from fedtiny.compiler.ir import Attributes, Graph, Node
from fedtiny.compiler.operators import Concat, MaxPool2d, Mean
from fedtiny.compiler.reference_common import Array, Run, activate, saturate, windows


def _max_pool(x: Array, attributes: MaxPool2d) -> Array:
    a = attributes
    lowest = -128 if x.dtype == np.int8 else -np.inf
    view = windows(x, a.kernel, a.stride, a.padding, fill=lowest)
    greatest: Array = view.max(axis=(4, 5))
    return greatest


def _max_pool_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, MaxPool2d)
    return activate(_max_pool(x, node.attributes), node.attributes.activation)


def _max_pool_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, MaxPool2d)
    return saturate(graph, node, _max_pool(x, node.attributes))


def _concat(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    return np.concatenate([x, values[node.inputs[1]]], axis=-1)


def _mean_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    average: Array = x.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    return average.astype(np.float32)


def _mean_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    p = q.mean_parameters(node, graph)
    total = x.sum(axis=(1, 2), keepdims=True, dtype=np.int64) + p.offset_in
    scaled = q.multiply_by_quantized_multiplier(total, p.multiplier, p.shift)
    return saturate(graph, node, scaled + p.offset_out)


FLOAT: Mapping[type[Attributes], Run] = {
    Concat: _concat,
    MaxPool2d: _max_pool_float,
    Mean: _mean_float,
}
INT8: Mapping[type[Attributes], Run] = {
    Concat: _concat,
    MaxPool2d: _max_pool_int8,
    Mean: _mean_int8,
}
