"""Quantize a float graph to int8 as TensorFlow Lite's specification wants it.

Activations: per tensor, asymmetric, zero exact. Convolution weights: per output channel,
symmetric; fully connected weights: per tensor, symmetric; so zero weights stay exactly zero.
Biases: int32 of scale s_in * s_w. What pools or
moves values keeps their quantization.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import (
    Add,
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Pattern,
    Quantization,
    Reshape,
    Softmax,
    Tensor,
)
from fedtiny.compiler.operators import (
    Broadcast,
    Concat,
    Function,
    MaxPool2d,
    Mean,
    Mul,
    Pad,
    Resize,
    Sub,
    Transpose,
    TransposeConv2d,
    Unary,
)
from fedtiny.compiler.passes.base import FLOAT, INT8, NO_BATCH_NORM, ONE_READER, Pass
from fedtiny.compiler.quantization import (
    BIAS_LIMIT,
    INT8_MAX,
    INT8_MIN,
    activation_quantization,
    per_tensor,
    quantize_values,
    round_half_away,
)
from fedtiny.errors import UnsupportedError, UsageError

ADD_RESOLUTION = 2.0**-18
"""Least output scale of an add, in scales of its inputs: its multiplier must stay below 1."""
MUL_RESOLUTION = 2.0**-10
"""Least output scale of a product, in products of its inputs' scales: sums stay in int32."""
UNARY_RESOLUTION = 2.0**-6
"""Least output scale of a function, in scales of its input: HARD_SWISH needs 2^-7."""
NEARLY = 1.25
"""Output scales are enlarged up to this where multipliers then are at most 1, as kernels like."""
SUM_LIMIT = 1 << 29
"""Greatest magnitude of a sum times its multiplier; room for rounding the multiplier up."""
LEAST_SCALE = 2.0**-100
"""Weight scales below this would make products that float32 cannot hold."""

_FIXED_OUTPUTS: Mapping[Function, Quantization] = {
    "hard_sigmoid": per_tensor(1 / 256, -128),
    "sigmoid": per_tensor(1 / 256, -128),
    "tanh": per_tensor(1 / 128, 0),
}
"""Functions whose outputs are known to lie in [0, 1] or [-1, 1]."""


def quantize_pass(ranges: Mapping[str, tuple[float, float]]) -> Pass:
    """The pass for these ranges; see `quantize`."""
    requires = (FLOAT, NO_BATCH_NORM, ONE_READER)
    return Pass("quantize", requires, (INT8,), partial(quantize, ranges=ranges))


def quantize(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> Graph:
    """Quantize weights, biases and activations; names do not change.

    Concatenated tensors that are held otherwise than the result are requantized by new nodes.

    Args:
        graph: Float32, after the float passes.
        ranges: (min, max) by name for the input and the outputs of layers, sums, products and
            functions; others are not read.

    Raises:
        UsageError: A range is missing or not finite.
        UnsupportedError: A node has no int8 meaning; names it.
    """
    tensors: dict[str, Tensor] = {}
    for name in graph.inputs:
        tensors[name] = _activation(graph[name], _from_range(name, ranges))
    nodes: list[Node] = []
    for node in graph.nodes:
        out = graph[node.output]
        s_in = _scale(tensors[node.inputs[0]])
        match node.attributes:
            case Conv2d() | DepthwiseConv2d() | FullyConnected() | TransposeConv2d():
                whole, least = _quantize_constants(graph, node, s_in, tensors)
                made = _from_range(out.name, ranges, least)
                if float(made.scale) < whole <= NEARLY * float(made.scale):
                    made = _from_range(out.name, ranges, whole)
            case Add() | Sub() | Mul():
                s_other = _scale(_second_operand(graph, node, tensors))
                widest, product = max(s_in, s_other), s_in * s_other
                is_product = isinstance(node.attributes, Mul)
                least = MUL_RESOLUTION * product if is_product else ADD_RESOLUTION * widest
                made = _from_range(out.name, ranges, least)
            case Unary(function=function) if function in _FIXED_OUTPUTS:
                made = _FIXED_OUTPUTS[function]
            case Unary():
                made = _from_range(out.name, ranges, UNARY_RESOLUTION * s_in)
            case Softmax():
                made = per_tensor(1 / 256, -128)
            case Mean():
                made = _from_range(out.name, ranges)
            case Concat():
                made = _united([_of(tensors[name]) for name in node.inputs])
                node = _with_equal_inputs(node, made, tensors, nodes)
            case AveragePool2d() | Broadcast() | MaxPool2d() | Pad() | Reshape() | Resize():
                made = _of(tensors[node.inputs[0]])
            case Transpose():
                made = _of(tensors[node.inputs[0]])
            case _:
                raise UnsupportedError(
                    f"node {node.name!r}: {node.op} could not be fused into a layer and has no "
                    "int8 form."
                )
        tensors[out.name] = _activation(out, made)
        nodes.append(node)
    return graph.rewrite(nodes, tensors.values())


def _united(parts: list[Quantization]) -> Quantization:
    """The quantization of everything that several can express; the one itself if they are equal."""
    if all(p.scale == parts[0].scale and p.zero_point == parts[0].zero_point for p in parts):
        return parts[0]
    low = min(float(p.scale) * (INT8_MIN - int(p.zero_point)) for p in parts)
    high = max(float(p.scale) * (INT8_MAX - int(p.zero_point)) for p in parts)
    return activation_quantization(low, high)


def _with_equal_inputs(
    node: Node, wanted: Quantization, tensors: dict[str, Tensor], nodes: list[Node]
) -> Node:
    """Requantize the inputs that are held otherwise, by nodes appended before."""
    inputs = []
    for position, name in enumerate(node.inputs):
        held = _of(tensors[name])
        if held.scale != wanted.scale or held.zero_point != wanted.zero_point:
            made = f"{node.output}/input_{position}"
            tensors[made] = replace(tensors[name], name=made, quantization=wanted)
            nodes.append(Node(made, Unary("identity"), (name,), (made,)))
            name = made
        inputs.append(name)
    return replace(node, inputs=tuple(inputs))


def _second_operand(graph: Graph, node: Node, tensors: dict[str, Tensor]) -> Tensor:
    """The quantized second input of an elementwise node; a constant is quantized per tensor."""
    name = node.inputs[1]
    constant = graph[name]
    if constant.data is not None:
        values = constant.value.astype(np.float64)
        made = activation_quantization(float(values.min()), float(values.max()))
        data = quantize_values(values, made)
        tensors[name] = Tensor(name, constant.shape, "int8", made, data)
    return tensors[name]


def _activation(tensor: Tensor, quantization: Quantization) -> Tensor:
    return replace(tensor, dtype="int8", quantization=quantization)


def _from_range(
    name: str, ranges: Mapping[str, tuple[float, float]], least_scale: float = 0.0
) -> Quantization:
    """A tensor's quantization from its range, with at least the given scale."""
    if name not in ranges:
        raise UsageError(
            f"calibration: there is no range for tensor {name!r}; calibrate this very model."
        )
    low, high = ranges[name]
    if not (np.isfinite([low, high]).all() and low <= high):
        raise UsageError(f"calibration: the range of tensor {name!r} is ({low}, {high}).")
    made = activation_quantization(low, high)
    if float(made.scale) < least_scale:
        return per_tensor(np.float32(least_scale), int(made.zero_point))
    return made


def _quantize_constants(
    graph: Graph, node: Node, s_in: float, tensors: dict[str, Tensor]
) -> tuple[float, float]:
    """Quantize a layer's weights and bias.

    Returns:
        The greatest product of input and weight scale: an output scale below it resolves more than
        some channel's accumulator does, and that channel's multiplier is above 1. And the least
        output scale at which no multiplied accumulator can overflow int32.
    """
    weights, bias = (graph[name] for name in node.inputs[1:])
    axis = {DepthwiseConv2d: 3, FullyConnected: None}.get(type(node.attributes), 0)
    scale = _weight_scales(weights.value.astype(np.float64), axis)
    b = bias.value.astype(np.float64)
    needed = np.abs(b) / (s_in * BIAS_LIMIT)
    scale = np.maximum(scale, needed.max() if axis is None else needed)
    zeros = np.zeros(scale.shape, np.int32)
    quantization = Quantization(scale.astype(np.float32), zeros, axis)
    q = quantize_values(weights.value, quantization)  # type: ignore[arg-type]
    pattern = weights.pattern
    if pattern is not None and pattern.kind != "dense":
        pattern = replace(pattern, density=Pattern.of(q).density)
    tensors[weights.name] = Tensor(
        weights.name, weights.shape, "int8", quantization, np.ascontiguousarray(q), pattern
    )
    product = s_in * quantization.scale.astype(np.float64)
    whole = np.clip(round_half_away(b / product), -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
    bias_axis = None if axis is None else 0
    bias_quantization = Quantization(product.astype(np.float32), zeros, bias_axis)
    tensors[bias.name] = Tensor(bias.name, bias.shape, "int32", bias_quantization, whole)
    if axis is None:  # TensorFlow Lite multiplies in double precision, but nothing finer is made
        return float(product), float(product)
    others = tuple(i for i in range(q.ndim) if i != axis)
    reach = 255 * np.abs(q.astype(np.int64)).sum(axis=others) + np.abs(whole.astype(np.int64))
    return float(product.max()), float((product * reach).max()) / SUM_LIMIT


def _weight_scales(weights: NDArray[np.float64], axis: int | None) -> NDArray[np.float64]:
    """Symmetric scales `(channels,)` or `()`; a channel of zeros gets the tensor's scale."""
    others = None if axis is None else tuple(i for i in range(weights.ndim) if i != axis)
    greatest = np.abs(weights).max(axis=others)
    whole = float(np.max(greatest)) or float(INT8_MAX)
    scales = np.where(greatest > 0, greatest, whole) / INT8_MAX
    least: NDArray[np.float64] = np.maximum(scales, LEAST_SCALE)
    return least


def _of(tensor: Tensor) -> Quantization:
    assert tensor.quantization is not None
    return tensor.quantization


def _scale(tensor: Tensor) -> float:
    return float(_of(tensor).scale)
