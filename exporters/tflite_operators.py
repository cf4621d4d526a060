"""The TensorFlow Lite form of operators without weights: elementwise functions, pooling, movement.

What TensorFlow Lite lacks is written exactly in what it has: an int8 function without an operator
is a GATHER from its table, and maximum pooling with odd padding pads with the least value first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fedtiny.compiler import unary
from fedtiny.compiler.ir import Activation, Attributes, Node, Tensor
from fedtiny.compiler.operators import Concat, Function, MaxPool2d, Mean, Mul, Sub, Unary
from fedtiny.compiler.quantization import quantization_of

if TYPE_CHECKING:
    from fedtiny.exporters.tflite import _Writer as Writer

Indices = list[int]
_CODE = schema.BuiltinOperator
_KIND = schema.BuiltinOptions
ACTIVATIONS: Mapping[Activation, int] = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
INT8_VERSIONS: Mapping[int, int] = {
    _CODE.CONCATENATION: 2,
    _CODE.LEAKY_RELU: 2,
    _CODE.LOGISTIC: 2,
    _CODE.MAX_POOL_2D: 2,
    _CODE.MEAN: 2,
    _CODE.MUL: 2,
    _CODE.PADV2: 2,
    _CODE.QUANTIZE: 2,
    _CODE.RELU: 2,
    _CODE.RELU6: 2,
    _CODE.SUB: 2,
    _CODE.TANH: 2,
}
"""Versions of operators in int8 files, where they are not 1."""

_FUNCTIONS: Mapping[Function, int] = {
    "hard_swish": _CODE.HARD_SWISH,
    "relu": _CODE.RELU,
    "relu6": _CODE.RELU6,
    "sigmoid": _CODE.LOGISTIC,
    "tanh": _CODE.TANH,
}


def sub(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """SUB."""
    assert isinstance(node.attributes, Sub)
    options = schema.SubOptionsT()
    options.fusedActivationFunction = ACTIVATIONS[node.attributes.activation]
    options.potScaleInt16 = False
    order = inputs[::-1] if node.attributes.reverse else inputs
    writer.operator(_CODE.SUB, order, outputs, _KIND.SubOptions, options)


def mul(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """MUL."""
    assert isinstance(node.attributes, Mul)
    options = schema.MulOptionsT()
    options.fusedActivationFunction = ACTIVATIONS[node.attributes.activation]
    writer.operator(_CODE.MUL, inputs, outputs, _KIND.MulOptions, options)


def function(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """An operator of its own, or what means the same."""
    a = node.attributes
    assert isinstance(a, Unary)
    is_int8 = writer.graph[node.output].dtype == "int8"
    if a.function in _FUNCTIONS:
        writer.operator(_FUNCTIONS[a.function], inputs, outputs, _KIND.NONE, None)
    elif a.function == "leaky_relu":
        options = schema.LeakyReluOptionsT()
        options.alpha = a.alpha
        writer.operator(_CODE.LEAKY_RELU, inputs, outputs, _KIND.LeakyReluOptions, options)
    elif a.function == "identity" and is_int8:
        kind, options = _KIND.QuantizeOptions, schema.QuantizeOptionsT()
        writer.operator(_CODE.QUANTIZE, inputs, outputs, kind, options)
    elif a.function == "identity":
        _reshape(writer, node, inputs, outputs)
    elif is_int8:
        _gather(writer, node, a, inputs, outputs)
    else:
        _float_hard_sigmoid(writer, node, a, inputs, outputs)


def _reshape(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    shape = list(writer.graph[node.output].shape)
    options = schema.ReshapeOptionsT()
    options.newShape = shape
    inputs = [*inputs, writer.constant(f"{node.name}/shape", shape)]
    writer.operator(_CODE.RESHAPE, inputs, outputs, _KIND.ReshapeOptions, options)


def _gather(writer: Writer, node: Node, a: Unary, inputs: Indices, outputs: Indices) -> None:
    """Look every value up, counted from -128, in a table that is a constant."""
    target = writer.graph[node.output]
    source = quantization_of(writer.graph, node.inputs[0])
    made = unary.table(a, source, quantization_of(writer.graph, node.output))
    table = writer.tensor(
        Tensor(f"{node.name}/table", made.shape, "int8", target.quantization, made)
    )
    wide = writer.tensor(Tensor(f"{node.name}/int32", target.shape, "int32"))
    index = writer.tensor(Tensor(f"{node.name}/index", target.shape, "int32"))
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = schema.TensorType.INT8, schema.TensorType.INT32
    writer.operator(_CODE.CAST, inputs, [wide], _KIND.CastOptions, cast, version=1)
    offset = writer.constant(f"{node.name}/128", [128])
    add = schema.AddOptionsT()
    writer.operator(_CODE.ADD, [wide, offset], [index], _KIND.AddOptions, add, version=1)
    gather, kind = schema.GatherOptionsT(), _KIND.GatherOptions
    writer.operator(_CODE.GATHER, [table, index], outputs, kind, gather, version=2)


def _float_hard_sigmoid(
    writer: Writer, node: Node, a: Unary, inputs: Indices, outputs: Indices
) -> None:
    """relu6(6 alpha x + 6 beta) / 6."""
    shape = writer.graph[node.output].shape
    scaled, gate = (
        writer.tensor(Tensor(f"{node.name}/{part}", shape, "float32"))
        for part in ("scaled", "gate")
    )
    factor, offset, sixth = (
        writer.tensor(
            Tensor(f"{node.name}/{part}", (1,), "float32", data=np.array([value], np.float32))
        )
        for part, value in (("alpha", 6 * a.alpha), ("beta", 6 * a.beta), ("sixth", 1 / 6))
    )
    add = schema.AddOptionsT()
    add.fusedActivationFunction = ACTIVATIONS["relu6"]
    mul, kind = schema.MulOptionsT(), _KIND.MulOptions
    writer.operator(_CODE.MUL, [*inputs, factor], [scaled], kind, mul)
    writer.operator(_CODE.ADD, [scaled, offset], [gate], _KIND.AddOptions, add)
    writer.operator(_CODE.MUL, [gate, sixth], outputs, kind, mul)


def max_pool(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """MAX_POOL_2D, behind a PADV2 with the least value where its padding is neither."""
    a = node.attributes
    assert isinstance(a, MaxPool2d)
    fitting = writer.fitting_padding(node, a.kernel, a.stride, a.padding, (1, 1))
    if fitting is None:
        lowest = np.int8(-128) if writer.graph[node.output].dtype == "int8" else np.float32(-3e38)
        inputs = [writer.pad(node, inputs[0], a.kernel, a.stride, a.padding, (1, 1), lowest)]
        fitting = int(schema.Padding.VALID)
    options = schema.Pool2DOptionsT()
    options.padding = fitting
    options.strideH, options.strideW = a.stride
    options.filterHeight, options.filterWidth = a.kernel
    options.fusedActivationFunction = ACTIVATIONS[a.activation]
    writer.operator(_CODE.MAX_POOL_2D, inputs, outputs, _KIND.Pool2DOptions, options)


def concat(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """CONCATENATION."""
    options = schema.ConcatenationOptionsT()
    assert isinstance(node.attributes, Concat)
    options.axis = len(writer.graph[node.output].shape) + node.attributes.axis
    kind = _KIND.ConcatenationOptions
    writer.operator(_CODE.CONCATENATION, inputs, outputs, kind, options)


def mean(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """MEAN over rows and columns."""
    options = schema.ReducerOptionsT()
    options.keepDims = True
    inputs = [*inputs, writer.constant(f"{node.name}/axes", [1, 2])]
    writer.operator(_CODE.MEAN, inputs, outputs, _KIND.ReducerOptions, options)


OPERATORS: Mapping[type[Attributes], Callable[[Writer, Node, Indices, Indices], None]] = {
    Concat: concat,
    MaxPool2d: max_pool,
    Mean: mean,
    Mul: mul,
    Sub: sub,
    Unary: function,
}
"""By the type of a node's attributes, what writes it: given the indices of inputs and outputs."""
