"""What each TFLite operator becomes in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fedtiny.compiler import quantization as q
from fedtiny.compiler.frontends import tflite_elementwise as elementwise
from fedtiny.compiler.frontends.int8_limits import accumulator_overflows, mean_fits
from fedtiny.compiler.frontends.tflite_importer import Constant, Importer, Source
from fedtiny.compiler.frontends.tflite_model import OperatorRecord
from fedtiny.compiler.frontends.tflite_options import (
    check_same_quantization,
    fused_activation,
    pair_of,
    window_geometry,
)
from fedtiny.compiler.ir import (
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Pattern,
    Quantization,
    Reshape,
    Softmax,
)
from fedtiny.compiler.operators import MaxPool2d, Mean, Unary
from fedtiny.compiler.softmax import SUM_INTEGER_BITS

LEAST_FLOAT = -1e38
"""What is at most this never wins a maximum."""
MAX_CONCAT = 64
"""Inputs of a concatenation."""


def _weights(
    importer: Importer, op: OperatorRecord, source: Source, rank: int, axis: int
) -> Constant:
    weights = importer.constant(op, 1)
    weights = replace(weights, pattern=Pattern.of(weights.data))
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
    importer: Importer, op: OperatorRecord, source: Source, weights: Constant, channels: int
) -> str:
    """Add the bias, zeros where the file has none; int8: check the accumulators' range."""
    dtype = np.int32 if source.dtype == "int8" else np.float32
    present = len(op.inputs) > 2 and op.inputs[2] >= 0
    name = importer.model.tensors[op.outputs[0]].name + "/bias"
    bias = importer.constant(op, 2) if present else Constant(name, np.zeros(channels, dtype), None)
    if bias.data.dtype != dtype or bias.data.size != channels:
        raise importer.unsupported(
            op,
            f"its bias is {bias.data.dtype}{list(bias.data.shape)}, not {channels} of "
            f"{dtype.__name__}",
        )
    bias = replace(bias, data=bias.data.reshape(channels), quantization=None)
    if source.dtype == "int8":
        bias = replace(bias, quantization=_check_int8(importer, op, source, weights, bias.data))
    return importer.add_constant(op, 2, bias)


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
    source, options = importer.source(op, padded=True), importer.options(op, "Conv2DOptions")
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
    source = importer.source(op, padded=True)
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
    if int(np.prod(source.shape)) != wide:
        raise importer.damaged(op, f"{wide} weights a row for input {list(source.shape)}")
    if options.number(1, "b") != 0 or options.number(2, "B") != 0:
        raise importer.unsupported(op, "shuffled weights and kept dimensions")
    if weights.quantization is not None and weights.quantization.axis is not None:
        raise importer.unsupported(op, "per-channel weights; they must have one scale")
    activation = fused_activation(importer, op, options, 0)
    bias = _bias(importer, op, source, weights, out)
    x = source.name
    if source.shape != (1, wide):
        name = f"{op.name}/flatten"
        x = importer.builder.activation(name, (1, wide), source.dtype, source.quantization)
        importer.builder.node(name, Reshape(), (source.name,), x)
    inputs = (x, importer.add_constant(op, 1, weights), bias)
    importer.make(op, FullyConnected(activation), inputs, (1, out))


def average_pool_2d(importer: Importer, op: OperatorRecord) -> None:
    """AVERAGE_POOL_2D."""
    importer.arity(op, 1, 1)
    source, options = importer.source(op), importer.options(op, "Pool2DOptions")
    kernel = pair_of(importer, op, options, 4, 3)
    stride = pair_of(importer, op, options, 2, 1)
    window = (kernel, stride, (1, 1))
    padding, size = window_geometry(importer, op, source, window, options.number(0, "b"))
    check_same_quantization(importer, op, source)
    activation = fused_activation(importer, op, options, 5)
    attributes = AveragePool2d(kernel, stride, padding, activation)
    importer.make(op, attributes, (source.name,), (1, *size, source.shape[3]))


def max_pool_2d(importer: Importer, op: OperatorRecord) -> None:
    """MAX_POOL_2D."""
    importer.arity(op, 1, 1)
    source, options = importer.source(op, lowest=True), importer.options(op, "Pool2DOptions")
    kernel = pair_of(importer, op, options, 4, 3)
    stride = pair_of(importer, op, options, 2, 1)
    window = (kernel, stride, (1, 1))
    padding, size = window_geometry(importer, op, source, window, options.number(0, "b"))
    check_same_quantization(importer, op, source)
    activation = fused_activation(importer, op, options, 5)
    attributes = MaxPool2d(kernel, stride, padding, activation)
    importer.make(op, attributes, (source.name,), (1, *size, source.shape[3]))


def mean(importer: Importer, op: OperatorRecord) -> None:
    """MEAN over rows and columns; int8: rescaled."""
    importer.arity(op, 2, 2)
    source, axes = importer.source(op), importer.constant(op, 1).data
    if len(source.shape) != 4 or axes.dtype != np.int32 or axes.size > 8:
        raise importer.unsupported(
            op, "the mean over rows and columns of a 4-D tensor is supported"
        )
    if sorted(int(a) % 4 for a in axes.reshape(-1)) != [1, 2]:
        raise importer.unsupported(op, f"mean over axes {axes.reshape(-1).tolist()}, not [1, 2]")
    height, width, channels = source.shape[1:]
    kept = bool(importer.options(op, "ReducerOptions").number(0, "B"))
    shape = (1, 1, 1, channels) if kept else (1, channels)
    record = importer.model.tensors[op.outputs[0]]
    if record.shape != shape:
        raise importer.damaged(op, f"its output is {list(record.shape)}, not {list(shape)}")
    target = record.quantization if source.dtype == "int8" else None
    if source.dtype == "int8" and (target is None or target.axis is not None):
        raise importer.unsupported(op, "its int8 output has no scale")
    if record.type_name.lower() != source.dtype:
        raise importer.unsupported(op, f"input and output differ in type; got {record.type_name}")
    if kept:
        x = importer.add_activation(op.outputs[0])
    else:
        pooled = (1, 1, 1, channels)
        x = importer.builder.activation(f"{record.name}/pooled", pooled, source.dtype, target)
    scales = source.quantization, target
    if scales[0] and scales[1] and not mean_fits(height * width, scales[0], scales[1]):
        raise importer.unsupported(op, f"a mean of {height * width} elements with these scales")
    name = f"{op.name}/mean" if not kept else op.name
    importer.builder.node(name, Mean(), (source.name,), x)
    if kept:
        importer.define(op.outputs[0], x)
    else:
        importer.make(op, Reshape(), (x,), shape)


def concatenation(importer: Importer, op: OperatorRecord) -> None:
    """CONCATENATION of channels."""
    options = importer.options(op, "ConcatenationOptions")
    if len(op.outputs) != 1 or not 2 <= len(op.inputs) <= MAX_CONCAT:
        raise importer.unsupported(op, f"{len(op.inputs)} inputs; 2 to {MAX_CONCAT} are supported")
    sources = [importer.source(op, i) for i in range(len(op.inputs))]
    rank, axis = len(sources[0].shape), int(options.number(0, "i"))
    alike = len({(s.shape[:-1], s.dtype) for s in sources}) == 1
    if not alike or axis not in (-1, rank - 1) or options.number(1, "b") != 0:
        raise importer.unsupported(op, "concatenation of channels without activation is supported")
    for source in sources:
        check_same_quantization(importer, op, source)
    record = importer.model.tensors[op.outputs[0]]
    shape = (*sources[0].shape[:-1], sum(s.shape[-1] for s in sources))
    if record.shape != shape:
        raise importer.damaged(op, f"its output is {list(record.shape)}, not {list(shape)}")
    name = importer.add_activation(op.outputs[0])
    if importer.builder.tensors[name].dtype != sources[0].dtype:
        raise importer.unsupported(op, "input and output differ in type")
    importer.builder.concat(op.name, [source.name for source in sources], name)
    importer.define(op.outputs[0], name)


def reshape(importer: Importer, op: OperatorRecord) -> None:
    """RESHAPE to the output's static shape."""
    importer.arity(op, 1, 2)
    source = importer.source(op)
    record = importer.model.tensors[op.outputs[0]]
    if int(np.prod(source.shape)) != record.size:
        raise importer.damaged(op, f"{list(source.shape)} to {list(record.shape)}")
    check_same_quantization(importer, op, source)
    importer.make(op, Reshape(), (source.name,), record.shape)


def pad(importer: Importer, op: OperatorRecord) -> None:
    """PAD with zeros, or PADV2 with the least value, handed on to the windows that read it."""
    lowest = op.op_name == "PADV2"
    importer.arity(op, 2 + lowest, 2 + lowest)
    source = importer.source(op, padded=not lowest, lowest=lowest)
    amounts = importer.constant(op, 1).data
    if lowest:
        fill = importer.constant(op, 2).data
        least = -128 if source.dtype == "int8" else LEAST_FLOAT
        if fill.size != 1 or str(fill.dtype) != source.dtype or not float(fill.item()) <= least:
            raise importer.unsupported(op, "padding with the least value is supported")
    integers = amounts.dtype in (np.int32, np.int64)
    if len(source.shape) != 4 or amounts.shape != (4, 2) or not integers:
        raise importer.unsupported(op, "padding of rows and columns of a 4-D tensor is supported")
    if np.any(amounts[[0, 3]]) or np.any(amounts < 0) or np.any(amounts > 1 << 15):
        raise importer.unsupported(op, f"padding {amounts.tolist()}")
    check_same_quantization(importer, op, source)
    added = [(int(amounts[i, 0]), int(amounts[i, 1])) for i in (1, 2)]
    height, width = (source.shape[1 + i] + sum(added[i]) for i in range(2))
    record = importer.model.tensors[op.outputs[0]]
    if record.shape != (1, height, width, source.shape[3]):
        raise importer.damaged(op, f"its output is {list(record.shape)}")
    total = [
        (source.padding[i][0] + added[i][0], source.padding[i][1] + added[i][1]) for i in range(2)
    ]
    importer.define(op.outputs[0], source.name, (total[0], total[1]), lowest)


def softmax(importer: Importer, op: OperatorRecord) -> None:
    """SOFTMAX over the last dimension."""
    importer.arity(op, 1, 1)
    source, options = importer.source(op), importer.options(op, "SoftmaxOptions")
    beta = float(options.number(0, "f"))
    if not 2.0**-10 <= beta <= 2.0**10:
        raise importer.damaged(op, f"beta {beta}")
    target = importer.model.tensors[op.outputs[0]].quantization
    if source.dtype == "int8":
        if target is None or target.scale != np.float32(1 / 256) or target.zero_point != -128:
            raise importer.unsupported(op, "its int8 output must have scale 1/256, zero point -128")
        assert source.quantization is not None
        if source.shape[-1] >= 1 << SUM_INTEGER_BITS:
            raise importer.unsupported(op, f"an int8 softmax of {source.shape[-1]} values")
        if not 2.0**-20 <= beta * float(source.quantization.scale) <= 2.0**4:
            raise importer.unsupported(op, "its int8 input scale is out of range")
    importer.make(op, Softmax(beta), (source.name,), source.shape)


def densify(importer: Importer, op: OperatorRecord) -> None:
    """DENSIFY: a sparse constant under a new name."""
    importer.arity(op, 1, 1)
    constant = importer.constant(op, 0)
    _define_constant(importer, op, replace(constant, name=op.name), constant.data.shape)


def quantize(importer: Importer, op: OperatorRecord) -> None:
    """QUANTIZE of int8 to int8, or at the outputs to uint8, which only shifts by 128."""
    importer.arity(op, 1, 1)
    source, record = importer.source(op), importer.model.tensors[op.outputs[0]]
    given, target = source.quantization, record.quantization
    if record.type_name == "INT8" and source.dtype == "int8":
        elementwise.function(importer, op, Unary("identity"))
        return
    shifted = given is not None and target is not None and given.scale == target.scale
    shifted = shifted and record.type_name == "UINT8" and record.shape == source.shape
    if not shifted or int(given.zero_point) + 128 != int(target.zero_point):  # type: ignore[union-attr]
        raise importer.unsupported(op, "QUANTIZE is supported where the model begins and ends")
    _define_edge(importer, op, source.name)


def dequantize(importer: Importer, op: OperatorRecord) -> None:
    """DEQUANTIZE of a constant, or at the outputs of the model."""
    importer.arity(op, 1, 1)
    index, record = op.inputs[0], importer.model.tensors[op.outputs[0]]
    if record.type_name != "FLOAT32":
        raise importer.damaged(op, f"its output is {record.type_name}")
    if index < 0 or not importer.is_constant(index):
        source = importer.source(op)
        if source.dtype != "int8" or record.shape != source.shape:
            raise importer.damaged(op, f"it dequantizes a {source.dtype} tensor")
        _define_edge(importer, op, source.name)
        return
    constant = importer.constant(op, 0)
    if constant.data.dtype == np.float16:
        data = constant.data.astype(np.float32)
    elif constant.data.dtype == np.int8 and constant.quantization is not None:
        data = q.dequantize_values(constant.data, constant.quantization)
    else:
        raise importer.unsupported(op, f"a constant of {constant.data.dtype}")
    _define_constant(importer, op, Constant(op.name, data, None), constant.data.shape)


def _define_constant(
    importer: Importer, op: OperatorRecord, constant: Constant, shape: tuple[int, ...]
) -> None:
    index = op.outputs[0]
    if index in importer.sources or importer.is_constant(index):
        raise importer.damaged(op, "its output is made twice")
    if importer.model.tensors[index].shape != shape:
        raise importer.damaged(op, f"its output is {list(importer.model.tensors[index].shape)}")
    importer.constants[index] = constant


def _define_edge(importer: Importer, op: OperatorRecord, name: str) -> None:
    index = op.outputs[0]
    if index in importer.sources or index in importer.edges or importer.is_constant(index):
        raise importer.damaged(op, "its output is made twice")
    importer.edges[index] = name


@dataclass(frozen=True)
class OpReader:
    """How an operator is read, and the newest version of it that is understood."""

    read: Callable[[Importer, OperatorRecord], None]
    version: int


_OP = schema.BuiltinOperator
OPS: Mapping[int, OpReader] = {
    _OP.AVERAGE_POOL_2D: OpReader(average_pool_2d, 3),
    _OP.CONCATENATION: OpReader(concatenation, 3),
    _OP.CONV_2D: OpReader(conv_2d, 8),
    _OP.DENSIFY: OpReader(densify, 1),
    _OP.DEPTHWISE_CONV_2D: OpReader(depthwise_conv_2d, 7),
    _OP.DEQUANTIZE: OpReader(dequantize, 6),
    _OP.FULLY_CONNECTED: OpReader(fully_connected, 14),
    _OP.MEAN: OpReader(mean, 3),
    _OP.PAD: OpReader(pad, 4),
    _OP.PADV2: OpReader(pad, 4),
    _OP.QUANTIZE: OpReader(quantize, 4),
    _OP.RESHAPE: OpReader(reshape, 1),
    _OP.MAX_POOL_2D: OpReader(max_pool_2d, 3),
    _OP.SOFTMAX: OpReader(softmax, 3),
    **{code: OpReader(*row) for code, row in elementwise.OPS.items()},
}
"""Every operator that is supported."""
NAMES = tuple(sorted({k for k, v in vars(_OP).items() if isinstance(v, int) and v in OPS}))
