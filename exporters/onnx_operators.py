"""The ONNX form of operators without weights: elementwise functions, pooling, movement of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto

from fedtiny.compiler.ir import Add, Attributes, Node
from fedtiny.compiler.operators import Concat, MaxPool2d, Mean, Mul, Sub, Unary
from fedtiny.compiler.quantization import dequantize_values, quantization_of
from fedtiny.exporters.onnx_shapes import TO_NCHW, window

if TYPE_CHECKING:
    from fedtiny.exporters.onnx import _Writer as Writer

Step = tuple[str, list[str], dict[str, Any]]
"""An ONNX operator, its inputs after the first, its attributes."""

SWAPPED = "swapped"
"""Not an attribute of ONNX: the first input comes last."""


def operand(writer: Writer, node: Node) -> str:
    """The second input of an elementwise operator."""
    name = node.inputs[1]
    tensor = writer.graph[name]
    if tensor.data is None:
        return writer.values[name]
    rank = len(writer.graph[node.output].shape)
    return writer.constant(name, TO_NCHW if rank == 4 else None, rank)


def elementwise(writer: Writer, node: Node) -> list[Step]:
    """Add, Sub and Mul."""
    a = node.attributes
    names = {Add: "Add", Sub: "Sub", Mul: "Mul"}
    swapped = {SWAPPED: True} if isinstance(a, Sub) and a.reverse else {}
    return [(names[type(a)], [operand(writer, node)], swapped)]


def function(writer: Writer, node: Node) -> list[Step]:
    """Functions of one value."""
    a = node.attributes
    assert isinstance(a, Unary)
    match a.function:
        case "relu" | "relu6":
            return [writer.activation(a.function)]
        case "leaky_relu":
            return [("LeakyRelu", [], {"alpha": a.alpha})]
        case "hard_sigmoid":
            return [("HardSigmoid", [], {"alpha": a.alpha, "beta": a.beta})]
        case "table":
            return _lookup(writer, node, a)
        case _:
            names = {
                "hard_swish": "HardSwish",
                "identity": "Identity",
                "sigmoid": "Sigmoid",
                "tanh": "Tanh",
            }
            return [(names[a.function], [], {})]


def _lookup(writer: Writer, node: Node, a: Unary) -> list[Step]:
    """The entry of a table that an int8 value is the index of, counted from -128."""
    source, target = (quantization_of(writer.graph, n) for n in (node.inputs[0], node.output))
    entries = dequantize_values(np.array(a.values, np.int8), target)
    scale = writer.initializer(f"{node.name}/input_scale", source.scale)
    first = writer.initializer(f"{node.name}/first", np.array(source.zero_point + 128, np.float32))
    table = writer.initializer(f"{node.name}/table", entries)
    return [
        ("Div", [scale], {}),
        ("Round", [], {}),
        ("Add", [first], {}),
        ("Cast", [], {"to": TensorProto.INT64}),
        ("Gather", [table], {SWAPPED: True}),
    ]


def max_pool(writer: Writer, node: Node) -> list[Step]:
    """MaxPool."""
    a = node.attributes
    assert isinstance(a, MaxPool2d)
    return [("MaxPool", [], window(a.kernel, a.stride, a.padding))]


def concat(writer: Writer, node: Node) -> list[Step]:
    """Concat."""
    assert isinstance(node.attributes, Concat)
    rank = len(writer.graph[node.output].shape)
    axis = node.attributes.axis + rank
    axis = TO_NCHW.index(axis) if rank == 4 else axis
    return [("Concat", [writer.values[node.inputs[1]]], {"axis": axis})]


def mean(writer: Writer, node: Node) -> list[Step]:
    """ReduceMean over H and W."""
    axes = writer.initializer(f"{node.name}/axes", np.array([2, 3], np.int64))
    return [("ReduceMean", [axes], {"keepdims": 1})]


OPERATORS: Mapping[type[Attributes], Callable[[Writer, Node], list[Step]]] = {
    Add: elementwise,
    Concat: concat,
    MaxPool2d: max_pool,
    Mean: mean,
    Mul: elementwise,
    Sub: elementwise,
    Unary: function,
}
"""By the type of a node's attributes, the ONNX operators that it becomes."""
