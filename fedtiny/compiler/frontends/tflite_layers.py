"""What TFLite operators with weights become in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fedtiny.compiler import patterns
from fedtiny.compiler.frontends.int8_limits import accumulator_overflows
from fedtiny.compiler.frontends.tflite_importer import Constant, Importer, Source
from fedtiny.compiler.frontends.tflite_model import OperatorRecord
from fedtiny.compiler.frontends.tflite_options import (
    fused_activation,
    pair_of,
    window_geometry,
)
from fedtiny.compiler.ir import (
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Quantization,
    Reshape,
)
from fedtiny.compiler.operators import TransposeConv2d


def _weights(
    importer: Importer, op: OperatorRecord, source: Source, rank: int, axis: int
) -> Constant:
    weights = importer.constant(op, 1)
    weights = replace(weights, pattern=patterns.of(weights.data))
    if weights.data.ndim != rank or 0 in weights.data.shape:
        raise importer.damaged(op, f"its weights are {list(weights.data.shape)}")
    if weights.data.dtype != source.dtype:
        raise importer.unsupported(
            op,
            f"{weights.data.dtype} weights for a {source.dtype} input; both must be of one type",
        )
    if source.dtype == "float32":
        return replace(weights, quantization=None)
    if weights.quantization is None or weights.quantization.axis not in (None, axis):
        raise importer.unsupported(op, f"int8 weights need scales per tensor or along axis {axis}")
    if np.any(weights.quantization.zero_point != 0):
        raise importer.unsupported(op, "its weights have a zero point; they must be symmetric")
    return weights


def _bias(
    importer: Importer,
    op: OperatorRecord,
    source: Source,
    weights: Constant,
    channels: int,
    position: int = 2,
) -> str:
    """Add the bias, zeros where the file has none; int8: check the accumulators' range."""
    dtype = np.int32 if source.dtype == "int8" else np.float32
    present = len(op.inputs) > position and op.inputs[position] >= 0
    name = importer.model.tensors[op.outputs[0]].name + "/bias"
    bias = (
        importer.constant(op, position)
        if present
        else Constant(name, np.zeros(channels, dtype), None)
    )
    if bias.data.dtype != dtype or bias.data.size != channels:
        raise importer.unsupported(
            op,
            f"its bias is {bias.data.dtype}{list(bias.data.shape)}, not {channels} of "
            f"{dtype.__name__}",
        )
    bias = replace(bias, data=bias.data.reshape(channels), quantization=None)
    if source.dtype == "int8":
        bias = replace(bias, quantization=_check_int8(importer, op, source, weights, bias.data))
    return importer.add_constant(op, position, bias)


def _check_int8(
    importer: Importer,
    op: OperatorRecord,
    source: Source,
    weights: Constant,
    bias: NDArray[Any],
) -> Quantization:
    """Check that int32 holds every sum and scaled sum; returns the bias's quantization."""
    target = importer.model.tensors[op.outputs[0]].quantization
    assert source.quantization is not None
    assert weights.quantization is not None
    if target is None or target.axis is not None:
        raise importer.unsupported(op, "its int8 output has no scale")
    product = float(source.quantization.scale) * weights.quantization.scale.astype(np.float64)
    factor = float(np.max(product)) / float(target.scale)
    axis = 3 if op.op_name == "DEPTHWISE_CONV_2D" else 0
    if accumulator_overflows(np.moveaxis(weights.data, axis, 0), bias, factor):
        raise importer.unsupported(op, "its sums could overflow the int32 accumulator")
    scale = product.astype(np.float32)
    if not np.all(scale > 0):
        raise importer.damaged(op, "its scales are too small for float32")
    return Quantization(scale, np.zeros(scale.shape, np.int32), None if scale.ndim == 0 else 0)


def conv_2d(importer: Importer, op: OperatorRecord) -> None:
    """CONV_2D, grouped when the weights are narrower than the input."""
    importer.arity(op, 2, 3)
    source, options = importer.source(op), importer.options(op, "Conv2DOptions")
    weights = _weights(importer, op, source, 4, 0)
    out, kh, kw, depth = weights.data.shape
    stride = pair_of(importer, op, options, 2, 1)
    dilation = pair_of(importer, op, options, 5, 4, default=1)
    window = ((kh, kw), stride, dilation)
    padding, size = window_geometry(importer, op, source, window, options.number(0, "b"))
    groups = source.shape[3] // depth
    if groups * depth != source.shape[3] or groups == 0 or out % groups:
        raise importer.damaged(
            op, f"weights {list(weights.data.shape)} for input {list(source.shape)}"
        )
    activation = fused_activation(importer, op, options, 3)
    attributes = Conv2d(stride, padding, dilation, groups, activation)
    bias = _bias(importer, op, source, weights, out)
    inputs = (source.name, importer.add_constant(op, 1, weights), bias)
    importer.make(op, attributes, inputs, (1, *size, out))


def depthwise_conv_2d(importer: Importer, op: OperatorRecord) -> None:
    """DEPTHWISE_CONV_2D; with several outputs a channel it is a grouped convolution."""
    importer.arity(op, 2, 3)
    source = importer.source(op)
    options = importer.options(op, "DepthwiseConv2DOptions")
    weights = _weights(importer, op, source, 4, 3)
    one, kh, kw, out = weights.data.shape
    stride = pair_of(importer, op, options, 2, 1)
    dilation = pair_of(importer, op, options, 6, 5, default=1)
    window = ((kh, kw), stride, dilation)
    padding, size = window_geometry(importer, op, source, window, options.number(0, "b"))
    channels = source.shape[3]
    if one != 1 or out % channels:
        raise importer.damaged(
            op, f"weights {list(weights.data.shape)} for input {list(source.shape)}"
        )
    activation = fused_activation(importer, op, options, 4)
    bias = _bias(importer, op, source, weights, out)
    attributes: DepthwiseConv2d | Conv2d = DepthwiseConv2d(stride, padding, dilation, activation)
    if out != channels:
        attributes = Conv2d(stride, padding, dilation, channels, activation)
        quantization = weights.quantization
        if quantization is not None and quantization.axis is not None:
            quantization = replace(quantization, axis=0)
        data = weights.data.transpose(3, 1, 2, 0)
        weights = replace(weights, data=data, quantization=quantization)
    inputs = (source.name, importer.add_constant(op, 1, weights), bias)
    importer.make(op, attributes, inputs, (1, *size, out))


def fully_connected(importer: Importer, op: OperatorRecord) -> None:
    """FULLY_CONNECTED, after a reshape when its input is not `(1, I)`."""
    importer.arity(op, 2, 3)
    source, options = importer.source(op), importer.options(op, "FullyConnectedOptions")
    weights = _weights(importer, op, source, 2, 0)
    out, wide = weights.data.shape
    rows, kept = int(np.prod(source.shape)) // wide, options.number(2, "B") != 0
    if rows * wide != int(np.prod(source.shape)) or (kept and source.shape[-1] != wide):
        raise importer.damaged(op, f"{wide} weights a row for input {list(source.shape)}")
    if options.number(1, "b") != 0:
        raise importer.unsupported(op, "shuffled weights")
    if rows > 1:
        _pointwise(importer, op, source, weights)
        return
    activation = fused_activation(importer, op, options, 0)
    bias = _bias(importer, op, source, weights, out)
    x = source.name
    if source.shape != (1, wide):
        name = f"{op.name}/flatten"
        x = importer.builder.activation(name, (1, wide), source.dtype, source.quantization)
        importer.builder.node(name, Reshape(), (source.name,), x)
    inputs = (x, importer.add_constant(op, 1, weights), bias)
    shape = importer.model.tensors[op.outputs[0]].shape
    if shape == (1, out):
        importer.make(op, FullyConnected(activation), inputs, (1, out))
        return
    if shape != (*source.shape[:-1], out) or not kept:
        raise importer.damaged(op, f"its output is {list(shape)}")
    name = importer.add_activation(op.outputs[0])
    made = importer.builder.tensors[name]
    if made.dtype != source.dtype:
        raise importer.unsupported(
            op, f"input and output differ in type; the output is {made.dtype}"
        )
    flat = importer.builder.activation(f"{name}/flat", (1, out), made.dtype, made.quantization)
    importer.builder.node(op.name, FullyConnected(activation), inputs, flat)
    importer.builder.node(f"{op.name}/shape", Reshape(), (flat,), name)
    importer.define(op.outputs[0], name)


def _pointwise(importer: Importer, op: OperatorRecord, source: Source, weights: Constant) -> None:
    """Fully connected over several rows: in float a 1x1 convolution."""
    if source.dtype == "int8":
        raise importer.unsupported(
            op, f"int8 over several rows, of input {list(source.shape)}; one row is supported"
        )
    out, wide = weights.data.shape
    shape, rows = importer.model.tensors[op.outputs[0]].shape, int(np.prod(source.shape)) // wide
    if shape not in ((*source.shape[:-1], out), (rows, out)) or shape[0] != 1:
        raise importer.unsupported(op, f"an output of {list(shape)}; (1, ..., {out}) is supported")
    builder, activation = (
        importer.builder,
        fused_activation(importer, op, importer.options(op, "FullyConnectedOptions"), 0),
    )
    x = builder.activation(f"{op.name}/rows", (1, rows, 1, wide), source.dtype, None)
    builder.node(x, Reshape(), (source.name,), x)
    y = builder.activation(f"{op.name}/1x1", (1, rows, 1, out), source.dtype, None)
    bias = _bias(importer, op, source, weights, out)
    data = replace(weights, data=weights.data.reshape(out, 1, 1, wide))
    inputs = (x, importer.add_constant(op, 1, data), bias)
    builder.node(op.name, Conv2d(activation=activation), inputs, y)
    importer.make(replace(op, name=f"{op.name}/shape"), Reshape(), (y,), shape)


def transpose_conv(importer: Importer, op: OperatorRecord) -> None:
    """TRANSPOSE_CONV; rows and columns of zeros around its kernel are cut off."""
    importer.arity(op, 3, 4)
    source, options = importer.source(op, 2), importer.options(op, "TransposeConvOptions")
    shape = tuple(int(n) for n in importer.constant(op, 0).data.reshape(-1)[:8])
    weights = _weights(importer, op, source, 4, 0)
    out, kh, kw, depth = weights.data.shape
    stride = pair_of(importer, op, options, 2, 1)
    same = int(options.number(0, "b"))
    if len(source.shape) != 4 or depth != source.shape[3]:
        raise importer.damaged(
            op, f"weights {list(weights.data.shape)} for input {list(source.shape)}"
        )
    if len(shape) != 4 or shape[0] != 1 or shape[3] != out or same not in (0, 1):
        raise importer.damaged(op, f"an output of {list(shape)}")
    crop = [0, 0]
    for axis, kernel in enumerate((kh, kw)):
        made, size, step = shape[1 + axis], source.shape[1 + axis], stride[axis]
        wanted = -(-made // step) if same == 0 else (made - kernel + step) // step
        if not 1 <= made <= 1 << 16 or wanted != size:
            raise importer.damaged(op, f"an output of {list(shape)} for input {list(source.shape)}")
        total = (-(-made // step) - 1) * step + kernel - made
        crop[axis] = max(total, 0) // 2 if same == 0 else 0
    bias = _bias(importer, op, source, weights, out, 3)
    rows, columns = (_nonzero_span(weights.data, 1 + axis, crop[axis]) for axis in range(2))
    data = weights.data[:, rows[0] : rows[1], columns[0] : columns[1]]
    weights = replace(weights, data=data, pattern=patterns.of(data))
    activation = fused_activation(importer, op, options, 3)
    cut = (crop[0] - rows[0], crop[1] - columns[0])
    inputs = (source.name, importer.add_constant(op, 1, weights), bias)
    importer.make(op, TransposeConv2d(stride, cut, 1, activation), inputs, shape)


def _nonzero_span(weights: NDArray[Any], axis: int, crop: int) -> tuple[int, int]:
    """The part of a kernel's axis outside which all weights are zero; begins within `crop`."""
    others = tuple(i for i in range(4) if i != axis)
    used = np.flatnonzero(np.any(weights != 0, axis=others))
    if used.size == 0:
        return 0, weights.shape[axis]
    return min(int(used[0]), crop), int(used[-1]) + 1


_OP = schema.BuiltinOperator
OPS: Mapping[int, tuple[Callable[[Importer, OperatorRecord], None], int]] = {
    _OP.CONV_2D: (conv_2d, 8),
    _OP.DEPTHWISE_CONV_2D: (depthwise_conv_2d, 7),
    _OP.FULLY_CONNECTED: (fully_connected, 14),
    _OP.TRANSPOSE_CONV: (transpose_conv, 5),
}
"""Readers of operators, each with the newest version of the operator that it understands."""
