"""What each ONNX op becomes in the graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fedtiny.compiler.frontends import onnx_elementwise as elementwise
from fedtiny.compiler.frontends.onnx_fold import axes_of, resolve_shape
from fedtiny.compiler.frontends.onnx_importer import (
    Constant,
    Importer,
    Value,
    add_float,
)
from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.frontends.onnx_options import Pair, pair_of, window_geometry
from fedtiny.compiler.ir import (
    AveragePool2d,
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Padding,
    Pattern,
    Softmax,
)
from fedtiny.compiler.operators import Concat, MaxPool2d, Mean


def _add_weights(importer: Importer, name: str, weights: Constant) -> str:
    data = weights.data
    if weights.quantization is None:
        data = np.asarray(data, np.float32)
    pattern = Pattern.of(data)
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


def conv(importer: Importer, node: NodeRecord) -> None:
    """Conv: dense, grouped or depthwise, over two dimensions."""
    node.arity(2, 3)
    value, weights = importer.image(node, padded=True), importer.constant(node, 1)
    if weights.data.ndim != 4 or 0 in weights.data.shape:
        raise node.unsupported(f"its weights are {list(weights.data.shape)}; 4-D are supported")
    if weights.quantization is None and not np.issubdtype(weights.data.dtype, np.floating):
        raise node.unsupported(f"its weights are {weights.data.dtype}")
    out, depth, kh, kw = weights.data.shape
    channels, groups = value.shape[1], node.integer("group", 1)
    kernel = pair_of(node, "kernel_shape", (kh, kw))
    if kernel != (kh, kw) or groups < 1 or depth * groups != channels or out % groups:
        raise node.damaged(f"weights {list(weights.data.shape)} for {list(value.shape)}")
    stride, dilation = pair_of(node, "strides"), pair_of(node, "dilations")
    padding, size = window_geometry(node, value, kernel, stride, dilation)
    attributes: Conv2d | DepthwiseConv2d = Conv2d(stride, padding, dilation, groups)
    if groups == channels == out and groups > 1:
        weights = weights.transposed((1, 2, 3, 0))
        attributes = DepthwiseConv2d(stride, padding, dilation)
    else:
        weights = weights.transposed((0, 2, 3, 1))
    name = _add_weights(importer, node.inputs[1], weights)
    inputs = (value.tensor, name, _add_bias(importer, node, 2, out))
    importer.make(node, attributes, inputs, value, (1, out, *size))


def gemm(importer: Importer, node: NodeRecord) -> None:
    """Gemm with constant weights."""
    node.arity(2, 3)
    if node.integer("transA", 0) or node.real("alpha", 1.0) != 1 or node.real("beta", 1.0) != 1:
        raise node.unsupported("transA, alpha and beta must be 0, 1 and 1")
    weights = importer.constant(node, 1)
    if weights.data.ndim == 2 and not node.integer("transB", 0):
        weights = weights.transposed((1, 0))
    _fully_connected(importer, node, weights, 2)


def matmul(importer: Importer, node: NodeRecord) -> None:
    """MatMul with constant weights on the right."""
    node.arity(2, 2)
    weights = importer.constant(node, 1)
    if weights.data.ndim == 2:
        weights = weights.transposed((1, 0))
    _fully_connected(importer, node, weights, 3)


def _fully_connected(
    importer: Importer, node: NodeRecord, weights: Constant, bias_position: int
) -> None:
    value = importer.value(node)
    if weights.data.ndim != 2 or 0 in weights.data.shape:
        raise node.unsupported(f"its weights are {list(weights.data.shape)}; 2-D are supported")
    if weights.quantization is None and not np.issubdtype(weights.data.dtype, np.floating):
        raise node.unsupported(f"its weights are {weights.data.dtype}")
    out, wide = weights.data.shape
    if value.shape != (1, wide):
        raise node.unsupported(f"input {list(value.shape)} for {wide} weights; (1, I) is supported")
    if value.flat is not None:
        data = weights.data.reshape(out, *value.flat).transpose(0, 2, 3, 1).reshape(out, wide)
        if weights.quantization is not None and weights.quantization.axis == 1:
            raise node.unsupported("its weights have scales along the inputs")
        weights = Constant(data, weights.quantization)
    name = _add_weights(importer, node.inputs[1], weights)
    inputs = (value.tensor, name, _add_bias(importer, node, bias_position, out))
    importer.make(node, FullyConnected(), inputs, Value("", (1, out), (0, 1)))


def batch_normalization(importer: Importer, node: NodeRecord) -> None:
    """BatchNormalization for inference."""
    node.arity(5, 5)
    value = importer.value(node)
    if node.integer("training_mode", 0) or (not value.is_image and len(value.shape) != 2):
        raise node.unsupported("inference over (1, C, H, W) or (1, C) is supported")
    if value.flat is not None:
        raise node.unsupported("its input was flattened from several pixels")
    names = [value.tensor]
    for position in range(1, 5):
        data = importer.constant(node, position).real
        if data.shape != (value.shape[1],) or not np.issubdtype(data.dtype, np.floating):
            raise node.damaged(f"input {position} is {list(data.shape)}, not [{value.shape[1]}]")
        names.append(add_float(importer, node.inputs[position], data))
    importer.make(node, BatchNorm(node.real("epsilon", 1e-5)), tuple(names), value)


def max_pool(importer: Importer, node: NodeRecord) -> None:
    """MaxPool without indices."""
    node.arity(1, 1)
    value = importer.image(node)
    if node.integers("kernel_shape") is None:
        raise node.damaged("it has no kernel_shape")
    kernel, stride = pair_of(node, "kernel_shape"), pair_of(node, "strides")
    dilation = pair_of(node, "dilations")
    padding, size = window_geometry(node, value, kernel, stride, dilation)
    if dilation != (1, 1):
        raise node.unsupported("a dilated window")
    if any(max(p) >= k for p, k in zip(padding, kernel, strict=True)):
        raise node.unsupported("a window that lies in the padding")
    _check_ceil_mode(node, value, kernel, stride, padding)
    attributes = MaxPool2d(kernel, stride, padding)
    importer.make(node, attributes, (value.tensor,), value, (*value.shape[:2], *size))


def global_max_pool(importer: Importer, node: NodeRecord) -> None:
    """GlobalMaxPool."""
    node.arity(1, 1)
    value = importer.image(node)
    attributes = MaxPool2d((value.shape[2], value.shape[3]))
    importer.make(node, attributes, (value.tensor,), value, (*value.shape[:2], 1, 1))


def _check_ceil_mode(
    node: NodeRecord, value: Value, kernel: Pair, stride: Pair, padding: Padding
) -> None:
    if node.integer("ceil_mode", 0):
        sizes = [value.shape[2 + i] + sum(padding[i]) - kernel[i] for i in range(2)]
        if any(sizes[i] % stride[i] for i in range(2)):
            raise node.unsupported("ceil_mode where it makes a difference")


def average_pool(importer: Importer, node: NodeRecord) -> None:
    """AveragePool, padding not counted."""
    node.arity(1, 1)
    value = importer.image(node)
    if node.integers("kernel_shape") is None:
        raise node.damaged("it has no kernel_shape")
    kernel, stride = pair_of(node, "kernel_shape"), pair_of(node, "strides")
    padding, size = window_geometry(node, value, kernel, stride, pair_of(node, "dilations"))
    if pair_of(node, "dilations") != (1, 1):
        raise node.unsupported("a dilated window")
    padded = any(map(any, padding))
    if padded and node.integer("count_include_pad", 0):
        raise node.unsupported("padding that is counted (count_include_pad)")
    if any(max(p) >= k for p, k in zip(padding, kernel, strict=True)):
        raise node.unsupported("a window that lies in the padding")
    _check_ceil_mode(node, value, kernel, stride, padding)
    attributes = AveragePool2d(kernel, stride, padding)
    importer.make(node, attributes, (value.tensor,), value, (*value.shape[:2], *size))


def global_average_pool(importer: Importer, node: NodeRecord) -> None:
    """GlobalAveragePool."""
    node.arity(1, 1)
    value = importer.image(node)
    attributes = AveragePool2d((value.shape[2], value.shape[3]))
    importer.make(node, attributes, (value.tensor,), value, (*value.shape[:2], 1, 1))


def concat(importer: Importer, node: NodeRecord) -> None:
    """Concat of channels."""
    node.arity(2, 64)
    values = [importer.value(node, i) for i in range(len(node.inputs))]
    first, axis = values[0], node.integer("axis", 0)
    rank = len(first.shape)
    axis = axis + rank if axis < 0 else axis
    rest = {(v.shape[:axis], v.shape[axis + 1 :], v.order, v.flat) for v in values}
    if len(rest) != 1 or first.flat is not None or not 0 <= axis < rank:
        raise node.unsupported("concatenation of channels is supported")
    if first.order[axis] != rank - 1:
        raise node.unsupported("concatenation of channels is supported")
    total, made = first.shape[axis], first
    for position, value in enumerate(values[1:], start=1):
        total += value.shape[axis]
        shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
        last = position == len(values) - 1
        name = node.outputs[0] if last else f"{node.outputs[0]}/{position}"
        step = node if last else replace(node, name=name, outputs=(name,))
        importer.make(step, Concat(), (made.tensor, value.tensor), first, shape)
        made = importer.values[name]


def reduce_mean(importer: Importer, node: NodeRecord) -> None:
    """ReduceMean over H and W."""
    node.arity(1, 2)
    value = importer.image(node)
    axes = axes_of(node, importer.optional(node, 1)) or []
    if sorted(a % 4 for a in axes) != [2, 3] or any(not -4 <= a < 4 for a in axes):
        raise node.unsupported(f"the mean over axes {axes}; H and W (2, 3) are supported")
    if node.integer("keepdims", 1):
        importer.make(node, Mean(), (value.tensor,), value, (*value.shape[:2], 1, 1))
        return
    kept = replace(node, outputs=(f"{node.outputs[0]}/kept",), name=f"{node.name}/mean")
    importer.make(kept, Mean(), (value.tensor,), value, (*value.shape[:2], 1, 1))
    importer.reshape(node, importer.values[kept.outputs[0]], value.shape[:2])


def flatten(importer: Importer, node: NodeRecord) -> None:
    """Flatten to two dimensions."""
    node.arity(1, 1)
    value = importer.value(node, integer=True)
    axis = node.integer("axis", 1)
    if not -len(value.shape) <= axis <= len(value.shape):
        raise node.damaged(f"axis {axis}")
    axis = axis + len(value.shape) if axis < 0 else axis
    shape = (math.prod(value.shape[:axis]), math.prod(value.shape[axis:]))
    importer.reshape(node, value, shape)


def reshape(importer: Importer, node: NodeRecord) -> None:
    """Reshape to a constant shape."""
    node.arity(2, 2)
    value = importer.value(node, integer=True)
    shape = resolve_shape(node, value.shape, importer.constant(node, 1).data)
    importer.reshape(node, value, shape)


def squeeze(importer: Importer, node: NodeRecord) -> None:
    """Squeeze dimensions of size 1."""
    node.arity(1, 2)
    value = importer.value(node, integer=True)
    axes, rank = axes_of(node, importer.optional(node, 1)), len(value.shape)
    if axes is None:
        axes = [i for i in range(1, rank) if value.shape[i] == 1]
    if any(not -rank <= a < rank or value.shape[a] != 1 for a in axes):
        raise node.damaged(f"axes {axes} of {list(value.shape)}")
    gone = {a % rank for a in axes}
    importer.reshape(node, value, tuple(n for i, n in enumerate(value.shape) if i not in gone))


def unsqueeze(importer: Importer, node: NodeRecord) -> None:
    """Unsqueeze: insert dimensions of size 1."""
    node.arity(1, 2)
    value = importer.value(node, integer=True)
    axes = axes_of(node, importer.optional(node, 1)) or []
    rank = len(value.shape) + len(axes)
    if rank > 4 or any(not -rank <= a < rank for a in axes):
        raise node.unsupported(f"axes {axes} of {list(value.shape)}")
    rest, new = iter(value.shape), {a % rank for a in axes}
    shape = tuple(1 if i in new else next(rest, 1) for i in range(rank))
    importer.reshape(node, value, shape)


def transpose(importer: Importer, node: NodeRecord) -> None:
    """Transpose: only how the value is seen changes."""
    node.arity(1, 1)
    value = importer.value(node, integer=True)
    rank = len(value.shape)
    order = node.integers("perm") or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)) or value.shape[order[0]] != 1:
        raise node.unsupported(f"permutation {list(order)} of {list(value.shape)}")
    if value.flat is not None:
        raise node.unsupported("its input was flattened from several pixels")
    shape = tuple(value.shape[i] for i in order)
    seen = tuple(value.order[i] for i in order)
    importer.define(node, replace(value, shape=shape, order=seen))


def softmax(importer: Importer, node: NodeRecord) -> None:
    """Softmax over the channels; a Mul before it is its beta."""
    node.arity(1, 1)
    value = importer.value(node, scaled=True)
    rank = len(value.shape)
    axis = node.integer("axis", 1 if importer.opset < 13 else -1)
    axis = axis + rank if axis < 0 else axis
    fits = value.flat is None and 0 <= axis < rank and value.order[axis] == rank - 1
    if not fits or (importer.opset < 13 and math.prod(value.shape[axis + 1 :]) != 1):
        raise node.unsupported("softmax over C of (1, C) or (1, C, H, W) is supported")
    importer.make(node, Softmax(value.factor), (value.tensor,), value)


def identity(importer: Importer, node: NodeRecord) -> None:
    """Identity and Dropout for inference."""
    node.arity(1, 3)
    training = importer.optional(node, 2)
    if training is not None and np.any(training):
        raise node.unsupported("training mode")
    importer.define(node, importer.value(node, padded=True, integer=True))


def cast(importer: Importer, node: NodeRecord) -> None:
    """Cast of float32 to float32."""
    node.arity(1, 1)
    if node.integer("to", 0) != 1:
        raise node.unsupported("only a cast to float32 is supported")
    importer.define(node, importer.value(node))


def pad(importer: Importer, node: NodeRecord) -> None:
    """Pad rows and columns with zeros, handed on to the convolutions that read it."""
    node.arity(2, 4)
    value = importer.value(node, padded=True)
    amounts, fill = importer.constant(node, 1).data, importer.optional(node, 2)
    mode, axes = node.text("mode", "constant"), importer.optional(node, 3)
    if mode != "constant" or (fill is not None and np.any(fill)) or not value.is_image:
        raise node.unsupported("padding (1, C, H, W) with constant zeros is supported")
    order = list(range(4)) if axes is None else [int(a) % 4 for a in axes.reshape(-1)]
    given = [int(a) for a in amounts.reshape(-1)]
    if len(given) != 2 * len(order) or any(not 0 <= a <= 1 << 15 for a in given):
        raise node.unsupported(f"pads {given[:8]}")
    around = {a: (given[i], given[len(order) + i]) for i, a in enumerate(order)}
    if any(map(any, (around.get(0, ()), around.get(1, ())))):
        raise node.unsupported("padding of rows and columns alone is supported")
    total = [
        (value.padding[i][0] + around.get(2 + i, (0, 0))[0],
         value.padding[i][1] + around.get(2 + i, (0, 0))[1])
        for i in range(2)
    ]  # fmt: skip
    importer.define(node, replace(value, padding=(total[0], total[1])))


def shape(importer: Importer, node: NodeRecord) -> None:
    """Shape: a constant here, as every shape is known."""
    node.arity(1, 1)
    value = importer.value(node, integer=True)
    cut = value.shape[node.integer("start", 0) : node.integer("end", len(value.shape))]
    importer.constants[node.outputs[0]] = Constant(np.array(cut, np.int64))


OPS: Mapping[str, Callable[[Importer, NodeRecord], None]] = {
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Concat": concat,
    "Conv": conv,
    "Dropout": identity,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "MatMul": matmul,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Reshape": reshape,
    "Shape": shape,
    "Softmax": softmax,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
    **elementwise.OPS,
}
"""Every op that is supported on run-time values, quantization apart."""
