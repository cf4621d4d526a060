"""The reference meaning of operators that move or pool pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedtiny.compiler.ir import Attributes, Graph, Node
from fedtiny.compiler.operators import MaxPool2d
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


FLOAT: Mapping[type[Attributes], Run] = {
    MaxPool2d: _max_pool_float,
}
INT8: Mapping[type[Attributes], Run] = {
    MaxPool2d: _max_pool_int8,
}
