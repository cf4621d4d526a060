"""What the elementwise ONNX operators become: sums, differences, products, functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fedtiny.compiler.frontends.onnx_importer import Constant, Importer, add_float
from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.frontends.views import Value, arranged, broadcast
from fedtiny.compiler.ir import Activation, Add, Conv2d, DepthwiseConv2d, FullyConnected, Relu
from fedtiny.compiler.operators import Broadcast, Function, Mul, Sub, TransposeConv2d, Unary


def relu(importer: Importer, node: NodeRecord) -> None:
    """Relu."""
    node.arity(1, 1)
    value = importer.value(node)
    importer.make(node, Relu(), (value.tensor,), value)


def clip(importer: Importer, node: NodeRecord) -> None:
    """Clip to [0, 6], or to at least 0."""
    node.arity(1, 3)
    value = importer.value(node)
    low, high = (
        math.nan if (found := importer.optional(node, i)) is None or found.size != 1 else
        float(found.reshape(-1)[0])
        for i in (1, 2)
    )  # fmt: skip
    activation: Activation = "relu6" if high == 6 else "relu"
    unbounded = math.isnan(high) or high >= float(np.finfo(np.float32).max)
    if low != 0 or not (high == 6 or unbounded):
        raise node.unsupported(f"limits {low} and {high}; 0 and 6, or 0 alone, are supported")
    importer.make(node, Relu(activation), (value.tensor,), value)


def add(importer: Importer, node: NodeRecord) -> None:
    """Add; a constant goes into the bias of the layer before where there is one."""
    node.arity(2, 2)
    constants = [i for i in range(2) if node.inputs[i] in importer.constants]
    if not (constants and _added_to_bias(importer, node, constants[0])):
        binary(importer, node)


def _added_to_bias(importer: Importer, node: NodeRecord, position: int) -> bool:
    value, added = importer.value(node, 1 - position), importer.constants[node.inputs[position]]
    layer = importer.sole_producer(node, value, node.inputs[1 - position])
    layered = layer is not None and isinstance(
        layer.attributes, Conv2d | DepthwiseConv2d | FullyConnected | TransposeConv2d
    )
    axis = value.channels
    if layer is None or not layered or axis is None or value.order[axis] + 1 != len(value.physical):
        return False
    channels = value.shape[axis]
    wanted = tuple(channels if i == axis else 1 for i in range(len(value.shape)))
    data = added.real
    fits = data.ndim <= len(wanted) and all(
        n in (1, w) for n, w in zip(data.shape[::-1], wanted[::-1], strict=False)
    )
    old = importer.builder.tensors[layer.inputs[2]]
    if not fits or old.dtype != "float32" or not np.issubdtype(data.dtype, np.floating):
        return False
    total = old.value + np.broadcast_to(data, wanted).reshape(channels).astype(np.float32)
    bias = add_float(importer, f"{node.outputs[0]}/bias", total)
    shape = importer.builder.tensors[value.tensor].shape
    name = importer.builder.activation(node.outputs[0], shape, "float32", None)
    made = replace(layer, inputs=(*layer.inputs[:2], bias), outputs=(name,))
    importer.builder.replace_producer(value.tensor, made)
    importer.define(node, replace(value, tensor=name))
    return True


def mul(importer: Importer, node: NodeRecord) -> None:
    """Mul; a positive number is handed on to the softmax that alone reads it."""
    node.arity(2, 2)
    constants = [i for i in range(2) if node.inputs[i] in importer.constants]
    if len(constants) != 1 or not importer.feeds(node.outputs[0], "Softmax"):
        binary(importer, node)
        return
    number = importer.constant(node, constants[0]).real
    value = importer.value(node, 1 - constants[0], scaled=True)
    factor = value.factor * float(number.reshape(-1)[0]) if number.size == 1 else 0.0
    if number.ndim > len(value.shape) or not 2.0**-10 <= factor <= 2.0**10:
        raise node.unsupported("a factor other than one number between 2^-10 and 2^10")
    importer.define(node, replace(value, factor=factor))


def binary(importer: Importer, node: NodeRecord) -> None:
    """Add, Mul or Sub of two values, or of one and a constant, broadcast."""
    node.arity(2, 2)
    constants = [i for i in range(2) if node.inputs[i] in importer.constants]
    swapped = constants == [0]
    value = importer.value(node, 1 if swapped else 0)
    attributes = {"Add": Add(), "Mul": Mul(), "Sub": Sub(reverse=swapped)}[node.op]
    other = importer.constants[node.inputs[constants[0]]] if constants else importer.value(node, 1)
    shapes = value.shape, other.data.shape if isinstance(other, Constant) else other.shape
    target = broadcast(*shapes)
    if target is None:
        raise node.unsupported(f"{list(shapes[0])} and {list(shapes[1])}, which do not broadcast")
    label = node.outputs[0]
    if isinstance(other, Value):
        value, other = importer.alike(label, value, other, target)
        second = other.tensor
    else:
        value = importer.of_rank(label, value, len(target))
        if value.flat is not None and other.data.size > 1:
            value = importer.linear(label, value)
        second = _operand(importer, node, node.inputs[constants[0]], other, value, target)
    made = replace(value, shape=target)
    inputs = importer.builder.operands(label, value.tensor, second, made.physical)
    importer.make(node, attributes, inputs, made)


def _operand(
    importer: Importer,
    node: NodeRecord,
    name: str,
    constant: Constant,
    value: Value,
    target: tuple[int, ...],
) -> str:
    """Add a constant operand in our order of dimensions."""
    quantization = constant.quantization
    kept = quantization is not None and quantization.axis is None and constant.data.dtype == np.int8
    data = constant.data if kept else constant.real
    if not (kept or np.issubdtype(data.dtype, np.floating)) or data.size == 0:
        raise node.unsupported(f"a constant of {data.dtype}{list(data.shape)}")
    data = arranged(data, value, target)
    if kept:
        return importer.builder.constant(name, data, quantization)
    return add_float(importer, name, data)


def function(importer: Importer, node: NodeRecord, attributes: Unary) -> None:
    """A function of one value."""
    node.arity(1, 1)
    value = importer.value(node)
    importer.make(node, attributes, (value.tensor,), value)


def leaky_relu(importer: Importer, node: NodeRecord) -> None:
    """LeakyRelu."""
    function(importer, node, Unary("leaky_relu", node.real("alpha", 0.01)))


def hard_sigmoid(importer: Importer, node: NodeRecord) -> None:
    """HardSigmoid."""
    alpha, beta = node.real("alpha", 0.2), node.real("beta", 0.5)
    function(importer, node, Unary("hard_sigmoid", alpha, beta))


def _reader(name: Function) -> Callable[[Importer, NodeRecord], None]:
    def read(importer: Importer, node: NodeRecord) -> None:
        function(importer, node, Unary(name))

    return read


def expand(importer: Importer, node: NodeRecord) -> None:
    """Expand."""
    node.arity(2, 2)
    value, wanted = importer.value(node), importer.constant(node, 1).data
    rank = max(len(value.shape), wanted.size)
    if wanted.ndim != 1 or rank > 4:
        raise node.unsupported("a shape of more than four dimensions")
    value = importer.of_rank(node.outputs[0], value, rank)
    sizes = [1] * (rank - wanted.size) + [int(n) for n in wanted]
    if any(1 not in (n, m) and n != m for n, m in zip(value.shape, sizes, strict=True)):
        raise node.damaged(f"{list(value.shape)} to {sizes}")
    shape = tuple(max(n, m) for n, m in zip(value.shape, sizes, strict=True))
    if shape[0] != 1:
        raise node.unsupported("a batch of more than 1")
    if shape == value.shape:
        importer.define(node, value)
        return
    value = importer.linear(node.outputs[0], value) if value.flat is not None else value
    importer.make(node, Broadcast(), (value.tensor,), value, shape)


OPS: Mapping[str, Callable[[Importer, NodeRecord], None]] = {
    "Add": add,
    "Clip": clip,
    "Expand": expand,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": _reader("hard_swish"),
    "LeakyRelu": leaky_relu,
    "Mul": mul,
    "Relu": relu,
    "Sigmoid": _reader("sigmoid"),
    "Sub": binary,
    "Tanh": _reader("tanh"),
}
"""Readers of elementwise operators."""
