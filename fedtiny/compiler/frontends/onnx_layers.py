"""What ONNX ops with weights become in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import patterns
from fedtiny.compiler.frontends.onnx_importer import (
    Constant,
    Importer,
    add_float,
)
from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.frontends.onnx_options import Pair, explicit_pads, pair_of, window_geometry
from fedtiny.compiler.frontends.views import Value
from fedtiny.compiler.ir import (
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
)
from fedtiny.compiler.operators import TransposeConv2d


def _add_weights(importer: Importer, name: str, weights: Constant) -> str:
    data = weights.data
    if weights.quantization is None:
        data = np.asarray(data, np.float32)
    pattern = patterns.of(data)
    return importer.builder.constant(name, data, weights.quantization, pattern)


def _add_bias(importer: Importer, node: NodeRecord, position: int, channels: int) -> str:
    name = node.input(position)
    if not name:
        return add_float(importer, f"{node.outputs[0]}/bias", np.zeros(channels))
    bias = importer.constant(node, position)
    if bias.data.dtype == np.int32 and bias.quantization is not None:
        if bias.data.shape != (channels,):
            raise node.damaged(f"its bias is {list(bias.data.shape)}, not [{channels}]")
        return importer.builder.constant(name, bias.data, bias.quantization)
    real = bias.real
    if real.size not in (1, channels) or not np.issubdtype(real.dtype, np.floating):
        raise node.unsupported(f"its bias is {real.dtype}{list(real.shape)}, not [{channels}]")
    return add_float(importer, name, np.broadcast_to(real.reshape(-1), (channels,)))


def _weights(importer: Importer, node: NodeRecord, ranks: tuple[int, ...]) -> Constant:
    weights = importer.constant(node, 1)
    if weights.data.ndim not in ranks or 0 in weights.data.shape:
        wanted = " or ".join(f"{rank}-D" for rank in ranks)
        raise node.unsupported(
            f"its weights are {list(weights.data.shape)}; {wanted} ones are supported"
        )
    if weights.quantization is None and not np.issubdtype(weights.data.dtype, np.floating):
        raise node.unsupported(f"its weights are {weights.data.dtype}")
    return weights


def _kernel(importer: Importer, node: NodeRecord, value: Value) -> tuple[Constant, Pair]:
    """4-D weights, and their rows and columns; those of a sequence get one column."""
    weights = _weights(importer, node, (len(value.shape),))
    shape = (*weights.data.shape, 1)[:4]
    weights = Constant(weights.data.reshape(shape), weights.quantization)
    given = pair_of(node, "kernel_shape", value, (shape[2], shape[3]))
    if given != shape[2:]:
        raise node.damaged(f"kernel_shape {list(given)} for weights {list(weights.data.shape)}")
    return weights, given


def conv(importer: Importer, node: NodeRecord) -> None:
    """Conv: dense, grouped or depthwise, over one or two dimensions."""
    node.arity(2, 3)
    value = importer.image(node)
    weights, kernel = _kernel(importer, node, value)
    out, depth, _, _ = weights.data.shape
    channels, groups = value.shape[1], node.integer("group", 1)
    if groups < 1 or depth * groups != channels or out % groups:
        raise node.damaged(f"weights {list(weights.data.shape)} for {list(value.shape)}")
    stride, dilation = (pair_of(node, name, value) for name in ("strides", "dilations"))
    padding, size = window_geometry(node, value, kernel, stride, dilation)
    attributes: Conv2d | DepthwiseConv2d = Conv2d(stride, padding, dilation, groups)
    if groups == channels == out and groups > 1:
        weights = weights.transposed((1, 2, 3, 0))
        attributes = DepthwiseConv2d(stride, padding, dilation)
    else:
        weights = weights.transposed((0, 2, 3, 1))
    name = _add_weights(importer, node.inputs[1], weights)
    inputs = (value.tensor, name, _add_bias(importer, node, 2, out))
    importer.make(node, attributes, inputs, value, value.resized(out, size))


def conv_transpose(importer: Importer, node: NodeRecord) -> None:
    """ConvTranspose over one or two dimensions; zeros between taps stand for dilation."""
    node.arity(2, 3)
    value = importer.image(node)
    weights, kernel = _kernel(importer, node, value)
    depth, made, _, _ = weights.data.shape
    groups = node.integer("group", 1)
    out = made * groups
    if groups < 1 or depth != value.shape[1] or depth % groups:
        raise node.damaged(f"weights {list(weights.data.shape)} for {list(value.shape)}")
    if groups > 1 and weights.quantization is not None and weights.quantization.axis is not None:
        raise node.unsupported("grouped weights with scales per channel")
    stride, dilation = (pair_of(node, name, value) for name in ("strides", "dilations"))
    data = _in_groups(weights.data, groups)
    spread = np.zeros(
        (out, *(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)), data.shape[3]),
        data.dtype,
    )
    if spread.size > 64 * data.size:
        raise node.damaged(f"dilations {list(dilation)}")
    spread[:, :: dilation[0], :: dilation[1]] = data
    quantization = weights.transposed((1, 2, 3, 0)).quantization
    crop, size = _cropped(node, value, stride, (spread.shape[1], spread.shape[2]))
    name = _add_weights(importer, node.inputs[1], Constant(spread, quantization))
    inputs = (value.tensor, name, _add_bias(importer, node, 2, out))
    attributes = TransposeConv2d(stride, crop, groups)
    importer.make(node, attributes, inputs, value, value.resized(out, size))


def _in_groups(weights: NDArray[np.generic], groups: int) -> NDArray[np.generic]:
    """OHWI weights of ONNX's `(in, out / groups, kh, kw)`."""
    depth, made, kh, kw = weights.shape
    parts = weights.reshape(groups, depth // groups, made, kh, kw).transpose(0, 2, 3, 4, 1)
    return parts.reshape(groups * made, kh, kw, depth // groups)


def _cropped(node: NodeRecord, value: Value, stride: Pair, reach: Pair) -> tuple[Pair, Pair]:
    """What is cut off at the top and the left, and the output's rows and columns."""
    auto = node.text("auto_pad", "NOTSET")
    dimensions = len(value.shape) - 2
    more = node.integers("output_padding") or (0,) * dimensions
    if len(more) != dimensions or any(not 0 <= n <= 1 << 15 for n in more):
        raise node.unsupported(f"output_padding {list(more)}")
    if node.integers("output_shape") is not None or auto not in ("NOTSET", "VALID", ""):
        raise node.unsupported("output_shape and auto_pad; pads and output_padding are supported")
    crop, size = [], []
    for i, (before, after) in enumerate(explicit_pads(node, value)):
        full = (value.size[i] - 1) * stride[i] + reach[i]
        crop.append(before)
        size.append(full - before - after + (*more, 0)[i])
    if min(size) < 1 or max(size) > 1 << 16:
        raise node.damaged(f"its output has {size} rows and columns")
    return (crop[0], crop[1]), (size[0], size[1])


def gemm(importer: Importer, node: NodeRecord) -> None:
    """Gemm with constant weights."""
    node.arity(2, 3)
    if node.integer("transA", 0) or node.real("alpha", 1.0) != 1 or node.real("beta", 1.0) != 1:
        raise node.unsupported("transA, alpha and beta must be 0, 1 and 1")
    weights = _weights(importer, node, (2,))
    if not node.integer("transB", 0):
        weights = weights.transposed((1, 0))
    _fully_connected(importer, node, weights, 2)


def matmul(importer: Importer, node: NodeRecord) -> None:
    """MatMul with constant weights on the right."""
    node.arity(2, 2)
    if node.inputs[0] in importer.constants:
        raise node.unsupported("its weights are on the left; on the right they are supported")
    weights = _weights(importer, node, (2,)).transposed((1, 0))
    _fully_connected(importer, node, weights, 3)


def _fully_connected(
    importer: Importer, node: NodeRecord, weights: Constant, bias_position: int
) -> None:
    value = importer.value(node)
    out, wide = weights.data.shape
    if value.shape[-1] != wide:
        raise node.damaged(f"input {list(value.shape)} for {wide} weights")
    if len(value.shape) > 2:
        _pointwise(importer, node, weights, bias_position)
        return
    if value.flat is not None:
        data = weights.data.reshape(out, *value.flat).transpose(0, 2, 3, 1).reshape(out, wide)
        if weights.quantization is not None and weights.quantization.axis == 1:
            raise node.unsupported("its weights have scales along the inputs")
        weights = Constant(data, weights.quantization)
    name = _add_weights(importer, node.inputs[1], weights)
    inputs = (value.tensor, name, _add_bias(importer, node, bias_position, out))
    importer.make(node, FullyConnected(), inputs, Value("", (1, out), (0, 1)))


def _pointwise(importer: Importer, node: NodeRecord, weights: Constant, bias_position: int) -> None:
    """Weights for the last of three or four dimensions: a 1x1 convolution."""
    value = importer.value(node)
    rank = len(value.shape)
    if value.order[-1] != 3 or len(value.physical) != 4:
        value = importer.ordered(node.outputs[0], value, {3: (0, 1, 3), 4: (0, 1, 2, 3)}[rank])
    out, wide = weights.data.shape
    quantization = weights.quantization
    data = Constant(weights.data.reshape(out, 1, 1, wide), quantization)
    if quantization is not None and quantization.axis == 1:
        raise node.unsupported("its weights have scales along the inputs")
    name = _add_weights(importer, node.inputs[1], data)
    inputs = (value.tensor, name, _add_bias(importer, node, bias_position, out))
    importer.make(node, Conv2d(), inputs, value, (*value.shape[:-1], out))


def batch_normalization(importer: Importer, node: NodeRecord) -> None:
    """BatchNormalization for inference."""
    node.arity(5, 5)
    value = importer.value(node)
    if node.integer("training_mode", 0) or not 2 <= len(value.shape) <= 4:
        raise node.unsupported("inference over (1, C, H, W), (1, C, L) or (1, C) is supported")
    value = (
        importer.linear(node.outputs[0], value) if len(value.shape) == 2 else importer.image(node)
    )
    names = [value.tensor]
    for position in range(1, 5):
        data = importer.constant(node, position).real
        if data.shape != (value.shape[1],) or not np.issubdtype(data.dtype, np.floating):
            raise node.damaged(f"input {position} is {list(data.shape)}, not [{value.shape[1]}]")
        names.append(add_float(importer, node.inputs[position], data))
    importer.make(node, BatchNorm(node.real("epsilon", 1e-5)), tuple(names), value)


OPS: Mapping[str, Callable[[Importer, NodeRecord], None]] = {
    "BatchNormalization": batch_normalization,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
}
"""Readers of ops with weights."""
