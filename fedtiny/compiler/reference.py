"""The reference executor: what every graph means, in numpy, float32 or exact int8.

For int8 it gives the same integers as LiteRT's reference kernels (`BUILTIN_REF`) for every tensor;
the C kernels are compared with it bit for bit. Graphs have batch 1, but inputs may have any
batch size: samples do not interact.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedtiny.compiler import quantization as q
from fedtiny.compiler import reference_elementwise as elementwise
from fedtiny.compiler import reference_spatial as spatial
from fedtiny.compiler.ir import (
    Attributes,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    ConvertLayout,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Relu,
    Reshape,
    Softmax,
)
from fedtiny.compiler.operators import TransposeConv2d
from fedtiny.compiler.reference_common import Array, Run, activate, output_size, saturate, windows
from fedtiny.compiler.softmax import softmax_int8, softmax_parameters
from fedtiny.errors import UnsupportedError, UsageError

SAMPLES = 32
"""Samples that are run together: enough for numpy to be fast, few enough to stay in the cache."""


def execute(graph: Graph, inputs: Mapping[str, Array], keep_all: bool = False) -> dict[str, Array]:
    """Run a graph.

    Args:
        graph: Float32 or int8.
        inputs: By name, every input of the graph, `(N, ...)` with the graph's shape after the
            batch dimension and its dtype; N is the same for all.
        keep_all: Return every activation, inputs first, rather than only the outputs.

    Returns:
        Arrays by tensor name, `(N, ...)`.

    Raises:
        UsageError: An input is missing or has the wrong shape or dtype.
        UnsupportedError: A node has no meaning in the dtype of its input.
    """
    checked = {name: _checked(graph, name, inputs) for name in graph.inputs}
    count = len(checked[graph.inputs[0]])
    parts = [
        _execute({name: x[start : start + SAMPLES] for name, x in checked.items()}, graph, keep_all)
        for start in range(0, max(1, count), SAMPLES)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _execute(values: dict[str, Array], graph: Graph, keep_all: bool) -> dict[str, Array]:
    last_use = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    for index, node in enumerate(graph.nodes):
        table = _INT8 if graph[node.inputs[0]].dtype == "int8" else _FLOAT
        run = table.get(type(node.attributes))
        if run is None:
            dtype = graph[node.inputs[0]].dtype
            raise UnsupportedError(f"node {node.name!r}: {node.op} has no {dtype} meaning.")
        values[node.output] = run(graph, node, values[node.inputs[0]], values)
        if not keep_all:
            for name in set(node.inputs):
                if last_use[name] == index and name not in graph.outputs:
                    values.pop(name, None)
    return values if keep_all else {name: values[name] for name in graph.outputs}


def _checked(graph: Graph, name: str, inputs: Mapping[str, Array]) -> Array:
    tensor = graph[name]
    if name not in inputs:
        raise UsageError(f"input {name!r} of graph {graph.name!r} is missing.")
    x = np.asarray(inputs[name])
    if x.shape[1:] != tensor.shape[1:] or x.ndim != len(tensor.shape) or x.dtype != tensor.dtype:
        shape = ("N", *tensor.shape[1:])
        raise UsageError(
            f"input {name!r} is {x.dtype}{x.shape}; {tensor.dtype}({', '.join(map(str, shape))}) "
            "is wanted."
        )
    return x


def _convolve(x: Array, weights: Array, attributes: Conv2d) -> Array:
    """Convolve `(N, H, W, C)` with OHWI weights of the same dtype: `(N, oh, ow, O)`."""
    out_channels, kh, kw, depth = weights.shape
    groups = attributes.groups
    a = attributes
    rows, columns = (
        output_size(x.shape[1 + i], (kh, kw)[i], a.stride[i], a.padding[i], a.dilation[i])
        for i in range(2)
    )
    out = np.empty((len(x), rows, columns, out_channels), x.dtype)
    per_group = out_channels // groups
    view = windows(x, (kh, kw), a.stride, a.padding, a.dilation)
    for g in range(groups):
        taps = view[:, :, :, g * depth : (g + 1) * depth].transpose(0, 1, 2, 4, 5, 3)
        patches = taps.reshape(-1, kh * kw * depth)
        channels = slice(g * per_group, (g + 1) * per_group)
        kernel = weights[channels].reshape(per_group, -1)
        out[..., channels] = (patches @ kernel.T).reshape(*out.shape[:3], per_group)
    return out


def _convolve_depthwise(x: Array, weights: Array, attributes: DepthwiseConv2d) -> Array:
    """Convolve every channel of `(N, H, W, C)` with its `(1, kh, kw, C)` taps."""
    a = attributes
    view = windows(x, weights.shape[1:3], a.stride, a.padding, a.dilation)
    out = np.zeros(view.shape[:4], x.dtype)
    for i in range(weights.shape[1]):
        for j in range(weights.shape[2]):
            out += view[..., i, j] * weights[0, i, j]
    return out


def _transpose_convolve(x: Array, weights: Array, node: Node, graph: Graph) -> Array:
    """Spread `(N, H, W, C)` over the output by OHWI weights of the same dtype."""
    a = node.attributes
    assert isinstance(a, TransposeConv2d)
    out_channels, kh, kw, depth = weights.shape
    size = graph[node.output].shape[1:3]
    per_group = out_channels // a.groups
    spread = [(x.shape[1 + i] - 1) * a.stride[i] + (kh, kw)[i] for i in range(2)]
    room = [max(spread[i], a.crop[i] + size[i]) for i in range(2)]
    out = np.zeros((len(x), *room, out_channels), x.dtype)
    for g in range(a.groups):
        part = x[..., g * depth : (g + 1) * depth]
        channels = slice(g * per_group, (g + 1) * per_group)
        for i in range(kh):
            rows = slice(i, i + (x.shape[1] - 1) * a.stride[0] + 1, a.stride[0])
            for j in range(kw):
                columns = slice(j, j + (x.shape[2] - 1) * a.stride[1] + 1, a.stride[1])
                out[:, rows, columns, channels] += part @ weights[channels, i, j].T
    cut = tuple(slice(a.crop[i], a.crop[i] + size[i]) for i in range(2))
    return out[:, cut[0], cut[1]]


def _conv2d_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    weights, bias = _constants(graph, node)
    assert isinstance(node.attributes, Conv2d)
    return activate(_convolve(x, weights, node.attributes) + bias, node.attributes.activation)


def _transpose_conv2d_float(
    graph: Graph, node: Node, x: Array, values: Mapping[str, Array]
) -> Array:
    weights, bias = _constants(graph, node)
    assert isinstance(node.attributes, TransposeConv2d)
    out = _transpose_convolve(x, weights, node, graph)
    return activate(out + bias, node.attributes.activation)


def _depthwise_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    weights, bias = _constants(graph, node)
    assert isinstance(node.attributes, DepthwiseConv2d)
    out = _convolve_depthwise(x, weights, node.attributes)
    return activate(out + bias, node.attributes.activation)


def _fully_connected_float(
    graph: Graph, node: Node, x: Array, values: Mapping[str, Array]
) -> Array:
    weights, bias = _constants(graph, node)
    assert isinstance(node.attributes, FullyConnected)
    return activate(x @ weights.T + bias, node.attributes.activation)


def _average_pool_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, AveragePool2d)
    total, count = _pool_sums(x, node.attributes)
    return activate((total / count).astype(np.float32), node.attributes.activation)


def _relu_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, Relu)
    return activate(x, node.attributes.activation)


def _batch_norm_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, BatchNorm)
    constants: list[Array] = [graph[name].value for name in node.inputs[1:]]
    scale, offset, mean, variance = constants
    factor: Array = scale / np.sqrt(variance + np.float32(node.attributes.epsilon))
    return (x - mean) * factor + offset


def _same_values(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    return x


def _reshape(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    return x.reshape(len(x), *graph[node.output].shape[1:])


def _softmax_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, Softmax)
    shifted = (x - x.max(axis=-1, keepdims=True)) * np.float32(node.attributes.beta)
    exponential: Array = np.exp(shifted)
    total: Array = exponential.sum(axis=-1, keepdims=True)
    probabilities: Array = exponential / total
    return probabilities


def _constants(graph: Graph, node: Node) -> tuple[Array, Array]:
    return graph[node.inputs[1]].value, graph[node.inputs[2]].value


def _pool_sums(x: Array, attributes: AveragePool2d) -> tuple[Array, Array]:
    """Sums over windows `(N, oh, ow, C)` and the unpadded pixels in each, `(1, oh, ow, 1)`."""
    a = attributes
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.int64)
    ones = np.ones((1, *x.shape[1:3], 1), np.int64)
    total = windows(wide, a.kernel, a.stride, a.padding).sum(axis=(4, 5))
    return total, windows(ones, a.kernel, a.stride, a.padding).sum(axis=(4, 5))


def _exact(x: Array, weights: Array) -> tuple[Array, Array]:
    """Integers as floats in which every partial sum of products is exact, so that BLAS can run.

    Args:
        x: Integers of magnitude at most 255.
        weights: int8, output channels first.
    """
    bound = 255 * int(np.abs(weights.reshape(len(weights), -1).astype(np.int64)).sum(1).max())
    dtype = np.float32 if bound < 1 << 24 else np.float64
    return x.astype(dtype), weights.astype(dtype)


def _requantize(graph: Graph, node: Node, acc: Array) -> Array:
    multipliers, shifts = q.conv_multipliers(node, graph)
    scaled = q.multiply_by_quantized_multiplier(acc, multipliers, shifts)
    return saturate(graph, node, scaled + q.zero_point_of(graph, node.output))


def _centred(graph: Graph, tensor: str, x: Array) -> Array:
    return x.astype(np.int16) - np.int16(q.zero_point_of(graph, tensor))


def _conv2d_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    weights, bias = _constants(graph, node)
    assert isinstance(node.attributes, Conv2d)
    acc = _convolve(*_exact(_centred(graph, node.inputs[0], x), weights), node.attributes)
    return _requantize(graph, node, acc.astype(np.int64) + bias)


def _transpose_conv2d_int8(
    graph: Graph, node: Node, x: Array, values: Mapping[str, Array]
) -> Array:
    weights, bias = _constants(graph, node)
    wide = _exact(_centred(graph, node.inputs[0], x), weights)
    acc = _transpose_convolve(*wide, node, graph)
    return _requantize(graph, node, acc.astype(np.int64) + bias)


def _depthwise_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    weights, bias = _constants(graph, node)
    assert isinstance(node.attributes, DepthwiseConv2d)
    centred = _centred(graph, node.inputs[0], x).astype(np.int32)
    acc = _convolve_depthwise(centred, weights.astype(np.int32), node.attributes)
    return _requantize(graph, node, acc.astype(np.int64) + bias)


def _fully_connected_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    weights, bias = _constants(graph, node)
    wide, kernel = _exact(_centred(graph, node.inputs[0], x), weights)
    acc = (wide @ kernel.T).astype(np.int64) + bias
    scaled = q.round_half_away(acc.astype(np.float64) * q.fully_connected_scales(node, graph))
    return saturate(graph, node, scaled + q.zero_point_of(graph, node.output))


def _average_pool_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, AveragePool2d)
    total, count = _pool_sums(x, node.attributes)
    magnitude = (np.abs(total) + count // 2) // count  # halves away from zero
    return saturate(graph, node, np.sign(total) * magnitude)


def _softmax_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, Softmax)
    scale = q.scale_of(graph, node.inputs[0])
    return softmax_int8(x, softmax_parameters(node.attributes.beta, scale))


_FLOAT: Mapping[type[Attributes], Run] = {
    Conv2d: _conv2d_float,
    DepthwiseConv2d: _depthwise_float,
    FullyConnected: _fully_connected_float,
    AveragePool2d: _average_pool_float,
    Relu: _relu_float,
    BatchNorm: _batch_norm_float,
    Reshape: _reshape,
    ConvertLayout: _same_values,
    Softmax: _softmax_float,
    TransposeConv2d: _transpose_conv2d_float,
    **elementwise.FLOAT,
    **spatial.FLOAT,
}
_INT8: Mapping[type[Attributes], Run] = {
    Conv2d: _conv2d_int8,
    DepthwiseConv2d: _depthwise_int8,
    FullyConnected: _fully_connected_int8,
    AveragePool2d: _average_pool_int8,
    Reshape: _reshape,
    ConvertLayout: _same_values,
    Softmax: _softmax_int8,
    TransposeConv2d: _transpose_conv2d_int8,
    **elementwise.INT8,
    **spatial.INT8,
}
