"""What each ONNX op becomes in the graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fedtiny.compiler.frontends.onnx_fold import axes_of, resolve_shape
from fedtiny.compiler.frontends.onnx_importer import (
    Constant,
    Importer,
    Value,
    add_float,
)
from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.ir import (
    Activation,
    Add,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Padding,
    Pattern,
    Relu,
    Softmax,
)
from fedtiny.compiler.reference_common import output_size

Pair = tuple[int, int]


def _pair(node: NodeRecord, name: str, default: Pair = (1, 1)) -> Pair:
    found = node.integers(name)
    pair = default if found is None else found
    if len(pair) != 2 or not all(1 <= v <= 1 << 16 for v in pair):
        raise node.unsupported(f"{name} {list(pair)}; two positive numbers are supported")
    return pair[0], pair[1]


def _geometry(
    node: NodeRecord, value: Value, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[Padding, Pair]:
    """Explicit padding, that of a Pad before included, and the output's rows and columns."""
    auto = node.text("auto_pad", "NOTSET")
    pads = node.integers("pads") or (0, 0, 0, 0)
    if len(pads) != 4 or any(not 0 <= p <= 1 << 16 for p in pads):
        raise node.unsupported(f"pads {list(pads)}; four numbers of at least 0 are supported")
    padding, sizes = [], []
    for i in range(2):
        size = value.shape[2 + i] + sum(value.padding[i])
        before, after = pads[i], pads[2 + i]
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = (-(-size // stride[i]) - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
            total = max(total - size, 0)
            small = total // 2
            before, after = (small, total - small) if auto[5] == "U" else (total - small, small)
        elif auto not in ("NOTSET", "VALID", ""):
            raise node.unsupported(f"auto_pad {auto!r}")
        padding.append((value.padding[i][0] + before, value.padding[i][1] + after))
        sizes.append(output_size(size, kernel[i], stride[i], (before, after), dilation[i]))
    if min(sizes) < 1:
        raise node.damaged(f"its window is larger than its input {list(value.shape)}")
    return (padding[0], padding[1]), (sizes[0], sizes[1])


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
    kernel = _pair(node, "kernel_shape", (kh, kw))
    if kernel != (kh, kw) or groups < 1 or depth * groups != channels or out % groups:
        raise node.damaged(f"weights {list(weights.data.shape)} for {list(value.shape)}")
    stride, dilation = _pair(node, "strides"), _pair(node, "dilations")
    padding, size = _geometry(node, value, kernel, stride, dilation)
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
    """Add of two values of one shape, or of a constant that is the bias of the layer before."""
    node.arity(2, 2)
    constants = [i for i in range(2) if node.inputs[i] in importer.constants]
    if constants:
        _add_to_bias(importer, node, constants[0])
        return
    a, b = importer.value(node, 0), importer.value(node, 1)
    if (a.shape, a.order, a.flat) != (b.shape, b.order, b.flat):
        raise node.unsupported(f"{list(a.shape)} + {list(b.shape)}; both must have one shape")
    importer.make(node, Add(), (a.tensor, b.tensor), a)


def _add_to_bias(importer: Importer, node: NodeRecord, position: int) -> None:
    value, added = importer.value(node, 1 - position), importer.constants[node.inputs[position]]
    layer = importer.sole_producer(node, value, node.inputs[1 - position])
    layered = layer is not None and isinstance(
        layer.attributes, Conv2d | DepthwiseConv2d | FullyConnected
    )
    channels = value.shape[1]
    wanted = (1, channels) + (1,) * (len(value.shape) - 2)
    data = added.real
    fits = data.ndim <= len(wanted) and all(
        n in (1, w) for n, w in zip(data.shape[::-1], wanted[::-1], strict=False)
    )
    if layer is None or not layered or not fits or value.flat is not None:
        raise node.unsupported("a constant can be added only as the bias of the layer before it")
    old = importer.builder.tensors[layer.inputs[2]]
    if old.dtype != "float32" or not np.issubdtype(data.dtype, np.floating):
        raise node.unsupported("a bias can be added only to a layer with a float bias")
    total = old.value + np.broadcast_to(data, wanted).reshape(channels).astype(np.float32)
    bias = add_float(importer, f"{node.outputs[0]}/bias", total)
    shape = importer.builder.tensors[value.tensor].shape
    name = importer.builder.activation(node.outputs[0], shape, "float32", None)
    made = replace(layer, inputs=(*layer.inputs[:2], bias), outputs=(name,))
    importer.builder.replace_producer(value.tensor, made)
    importer.define(node, replace(value, tensor=name))


def average_pool(importer: Importer, node: NodeRecord) -> None:
    """AveragePool, padding not counted."""
    node.arity(1, 1)
    value = importer.image(node)
    if node.integers("kernel_shape") is None:
        raise node.damaged("it has no kernel_shape")
    kernel, stride = _pair(node, "kernel_shape"), _pair(node, "strides")
    padding, size = _geometry(node, value, kernel, stride, _pair(node, "dilations"))
    if _pair(node, "dilations") != (1, 1):
        raise node.unsupported("a dilated window")
    padded = any(map(any, padding))
    if padded and node.integer("count_include_pad", 0):
        raise node.unsupported("padding that is counted (count_include_pad)")
    if any(max(p) >= k for p, k in zip(padding, kernel, strict=True)):
        raise node.unsupported("a window that lies in the padding")
    if node.integer("ceil_mode", 0):
        sizes = [value.shape[2 + i] + sum(padding[i]) - kernel[i] for i in range(2)]
        if any(sizes[i] % stride[i] for i in range(2)):
            raise node.unsupported("ceil_mode where it makes a difference")
    attributes = AveragePool2d(kernel, stride, padding)
    importer.make(node, attributes, (value.tensor,), value, (*value.shape[:2], *size))


def global_average_pool(importer: Importer, node: NodeRecord) -> None:
    """GlobalAveragePool."""
    node.arity(1, 1)
    value = importer.image(node)
    attributes = AveragePool2d((value.shape[2], value.shape[3]))
    importer.make(node, attributes, (value.tensor,), value, (*value.shape[:2], 1, 1))


def reduce_mean(importer: Importer, node: NodeRecord) -> None:
    """ReduceMean over H and W."""
    node.arity(1, 2)
    value = importer.image(node)
    axes = axes_of(node, importer.optional(node, 1)) or []
    if sorted(a % 4 for a in axes) != [2, 3] or any(not -4 <= a < 4 for a in axes):
        raise node.unsupported(f"the mean over axes {axes}; H and W (2, 3) are supported")
    attributes = AveragePool2d((value.shape[2], value.shape[3]))
    if node.integer("keepdims", 1):
        importer.make(node, attributes, (value.tensor,), value, (*value.shape[:2], 1, 1))
        return
    kept = replace(node, outputs=(f"{node.outputs[0]}/kept",), name=f"{node.name}/mean")
    importer.make(kept, attributes, (value.tensor,), value, (*value.shape[:2], 1, 1))
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


def mul(importer: Importer, node: NodeRecord) -> None:
    """Mul by a positive number, handed on to the softmax that reads it."""
    node.arity(2, 2)
    constants = [i for i in range(2) if node.inputs[i] in importer.constants]
    if len(constants) != 1:
        raise node.unsupported("a product of two values; one by a number is supported")
    number = importer.constant(node, constants[0]).real
    value = importer.value(node, 1 - constants[0], scaled=True)
    factor = value.factor * float(number.reshape(-1)[0]) if number.size == 1 else 0.0
    if number.ndim > len(value.shape) or not 2.0**-10 <= factor <= 2.0**10:
        raise node.unsupported("a factor other than one number between 2^-10 and 2^10")
    importer.define(node, replace(value, factor=factor))


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
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Clip": clip,
    "Conv": conv,
    "Dropout": identity,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "MatMul": matmul,
    "Mul": mul,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": relu,
    "Reshape": reshape,
    "Shape": shape,
    "Softmax": softmax,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
"""Every op that is supported on run-time values, quantization apart."""
