"""Graphs of one node with random weights and quantization, for tests and benchmarks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import (
    Activation,
    Add,
    Attributes,
    AveragePool2d,
    Conv2d,
    ConvertLayout,
    DepthwiseConv2d,
    DType,
    FullyConnected,
    Graph,
    Layout,
    Node,
    Padding,
    Pattern,
    Quantization,
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
    ResizeBilinear,
    ResizeNearest,
    Sub,
    Transpose,
    TransposeConv2d,
    Unary,
)
from fedtiny.compiler.reference_common import output_size
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel
from fedtiny.runtime.packing import layouts

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """One node; `groups == 0` is depthwise.

    Attributes:
        size: Input `(H, W, C)`.
        outputs: Output channels (ignored by depthwise and pooling).
        kernel: `(kh, kw)`.
        stride: `(vertical, horizontal)`.
        padding: `((top, bottom), (left, right))`.
        dilation: `(vertical, horizontal)`.
        groups: Groups of channels.
        density: Nonzero weights.
        activation: Fused.
        zero_points: Of input and output.
        gain: Share of the int8 range that outputs use, roughly.
        powers: Scales are powers of two, so that many sums lie halfway between outputs.
        scales: Of a fully connected layer's weights: one, or one an output.
        seed: Of weights, scales and data.
    """

    size: tuple[int, int, int] = (5, 5, 3)
    outputs: int = 4
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: Padding = ((1, 1), (1, 1))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    density: float = 1.0
    activation: Activation = "none"
    zero_points: tuple[int, int] = (-3, 5)
    gain: float = 1.0
    powers: bool = False
    scales: Literal["one", "outputs"] = "one"
    seed: int = 0

    def output(self) -> tuple[int, int]:
        """Output `(H, W)`; not positive where the window does not fit."""
        return (
            output_size(
                self.size[0], self.kernel[0], self.stride[0], self.padding[0], self.dilation[0]
            ),
            output_size(
                self.size[1], self.kernel[1], self.stride[1], self.padding[1], self.dilation[1]
            ),
        )


def _activation(name: str, shape: tuple[int, ...], dtype: DType, scale: float, zero: int) -> Tensor:
    quantization = Quantization(np.float32(scale), np.int32(zero)) if dtype == "int8" else None  # type: ignore[arg-type]
    return Tensor(name, shape, dtype, quantization)


def _graph(attributes: Attributes, tensors: list[Tensor], inputs: int) -> Graph:
    names = tuple(t.name for t in tensors)
    node = Node("node", attributes, names[:-1], names[-1:])
    by_name = {t.name: t for t in tensors}
    return Graph("single", by_name, (node,), names[:inputs], names[-1:]).verify()


def _weights(
    case: Case, rng: np.random.Generator, shape: tuple[int, ...], axis: int, dtype: DType
) -> tuple[Tensor, float]:
    """Weights, and the standard deviation of one accumulator in units of its integer scale."""
    mask = rng.random(shape) < case.density
    pattern = Pattern("unstructured" if case.density < 1 else "dense", float(mask.mean()))
    if dtype == "float32":
        values = (rng.standard_normal(shape) * mask).astype(np.float32)
        return Tensor("weights", shape, dtype, None, values, pattern), 1.0
    values = (rng.integers(-127, 128, shape) * mask).astype(np.int8)
    channels = shape[axis]
    per_tensor = len(shape) == 2 and case.scales == "one"
    scale = rng.uniform(0.5, 2.0, () if per_tensor else (channels,)) * 0.01
    if case.powers:
        scale = 2.0 ** np.round(np.log2(scale))
    quantization = Quantization(
        scale.astype(np.float32), np.zeros(scale.shape, np.int32), None if per_tensor else axis
    )
    taps = max(1.0, values.size / channels * case.density)
    return Tensor("weights", shape, dtype, quantization, values, pattern), 73 * 74 * math.sqrt(taps)


def _bias(
    rng: np.random.Generator, weights: Tensor, channels: int, input_scale: float, deviation: float
) -> Tensor:
    if weights.quantization is None:
        return Tensor(
            "bias", (channels,), "float32", None, rng.standard_normal(channels).astype(np.float32)
        )
    values = (rng.standard_normal(channels) * deviation / 2).astype(np.int32)
    scale = np.broadcast_to(weights.quantization.scale * np.float32(input_scale), (channels,))
    return Tensor(
        "bias", (channels,), "int32", Quantization(scale, np.zeros(channels, np.int32), 0), values
    )


def _weighted(
    case: Case, dtype: DType, attributes: Attributes, shapes: list[tuple[int, ...]], axis: int
) -> Graph:
    rng = np.random.default_rng(case.seed)
    in_shape, weight_shape, out_shape = shapes
    weights, deviation = _weights(case, rng, weight_shape, axis, dtype)
    input_scale = float(np.float32(rng.uniform(0.01, 0.1)))
    output_scale = input_scale * 0.01 * deviation * 2 / 127 / case.gain
    if case.powers:
        input_scale, output_scale = (
            2.0 ** round(math.log2(s)) for s in (input_scale, output_scale)
        )
    tensors = [_activation("x", in_shape, dtype, input_scale, case.zero_points[0]), weights]
    tensors.append(_bias(rng, weights, out_shape[-1], input_scale, deviation))
    tensors.append(_activation("y", out_shape, dtype, output_scale, case.zero_points[1]))
    return _graph(attributes, tensors, 1)


def conv2d(case: Case, dtype: DType) -> Graph:
    """A convolution, or a depthwise one where `case.groups == 0`."""
    h, w, c = case.size
    shapes: list[tuple[int, ...]]
    if case.groups == 0:
        shapes = [(1, h, w, c), (1, *case.kernel, c), (1, *case.output(), c)]
        depthwise = DepthwiseConv2d(case.stride, case.padding, case.dilation, case.activation)
        return _weighted(case, dtype, depthwise, shapes, 3)
    weights = (case.outputs, *case.kernel, c // case.groups)
    shapes = [(1, h, w, c), weights, (1, *case.output(), case.outputs)]
    plain = Conv2d(case.stride, case.padding, case.dilation, case.groups, case.activation)
    return _weighted(case, dtype, plain, shapes, 0)


def fully_connected(case: Case, dtype: DType) -> Graph:
    """`case.size[2]` inputs to `case.outputs` outputs."""
    inputs, outputs = case.size[2], case.outputs
    shapes: list[tuple[int, ...]] = [(1, inputs), (outputs, inputs), (1, outputs)]
    return _weighted(case, dtype, FullyConnected(case.activation), shapes, 0)


def add(case: Case, dtype: DType) -> Graph:
    """The sum of two activations."""
    rng = np.random.default_rng(case.seed)
    shape = (1, *case.size)
    scales = rng.uniform(0.01, 0.2, 3)
    if case.powers:
        scales = 2.0 ** np.round(np.log2(scales))
    zeros = (case.zero_points[0], int(rng.integers(-128, 128)), case.zero_points[1])
    tensors = [
        _activation(n, shape, dtype, s, z) for n, s, z in zip("aby", scales, zeros, strict=True)
    ]
    return _graph(Add(case.activation), tensors, 2)


def average_pool2d(case: Case, dtype: DType) -> Graph:
    """Average pooling."""
    h, w, c = case.size
    zero = case.zero_points[0]
    tensors = [
        _activation("x", (1, h, w, c), dtype, 0.05, zero),
        _activation("y", (1, *case.output(), c), dtype, 0.05, zero),
    ]
    pool = AveragePool2d(case.kernel, case.stride, case.padding, case.activation)
    return _graph(pool, tensors, 1)


def softmax(case: Case, dtype: DType) -> Graph:
    """Softmax over the channels; the gain makes it flat or sharp."""
    shape = (1, *case.size)
    scale = 0.05 * case.gain
    tensors = [_activation("x", shape, dtype, scale, case.zero_points[0])]
    tensors.append(_activation("y", shape, dtype, 1 / 256, -128))
    return _graph(Softmax(1.0 if case.powers else 0.7), tensors, 1)


def convert_layout(case: Case, dtype: DType) -> Graph:
    """The same values; the layouts are those of a kernel (see `in_layouts`)."""
    shape = (1, *case.size)
    tensors = [_activation(name, shape, dtype, 0.05, case.zero_points[0]) for name in "xy"]
    return _graph(ConvertLayout(), tensors, 1)


def in_layouts(graph: Graph, kernel: Kernel) -> Graph:
    """The graph with its activations in the layouts of a kernel."""
    made: dict[str, Layout] = {graph.outputs[0]: kernel.layout_out}
    return layouts.relabel(graph, {**dict.fromkeys(graph.inputs, kernel.layout_in), **made})


def binary(case: Case, dtype: DType) -> Graph:
    """Of two maps, of a map and a pixel, or of a map and a constant, by the seed."""
    rng = np.random.default_rng(case.seed)
    shape, form = (1, *case.size), ("map", "pixel", "pixel first", "constant", "scalar")
    kind = form[case.seed % len(form)]
    pixel = (1, 1, 1, case.size[2])
    scales = rng.uniform(0.01, 0.2, 3)
    if case.powers:
        scales = 2.0 ** np.round(np.log2(scales))
    a = _activation("a", pixel if kind == "pixel first" else shape, dtype, scales[0], 3)
    small = {"pixel": pixel, "constant": (1, 1, 1, case.size[2]), "scalar": (1,)}.get(kind, shape)
    b = _activation("b", small, dtype, scales[1], case.zero_points[0])
    if kind in ("constant", "scalar"):
        data = rng.standard_normal(small).astype(np.float32)
        if dtype == "int8":
            data = rng.integers(-128, 128, small).astype(np.int8)
        b = replace(b, data=data)
    y = _activation("y", shape, dtype, scales[2], case.zero_points[1])
    attributes: Attributes = [
        Add(case.activation),
        Mul(case.activation),
        Sub(case.activation, reverse=case.powers),
    ][case.groups]
    return _graph(attributes, [a, b, y], 1 if kind in ("constant", "scalar") else 2)


def sub(case: Case, dtype: DType) -> Graph:
    """The difference of two operands."""
    return binary(replace(case, groups=2), dtype)


def mul(case: Case, dtype: DType) -> Graph:
    """The product of two operands."""
    return binary(replace(case, groups=1), dtype)


def unary(case: Case, dtype: DType) -> Graph:
    """A function, by the seed, of every element."""
    functions = [f for f in get_args(Function) if f != "table" or dtype == "int8"]
    function = functions[case.seed % len(functions)]
    alpha = {"leaky_relu": 0.1, "hard_sigmoid": 1 / 6}.get(function, 0.0)
    attributes = Unary(function, alpha, 0.5 if function == "hard_sigmoid" else 0.0)
    if function == "table":
        attributes = Unary(function, values=tuple(range(127, -129, -1)))
    shape = (1, *case.size)
    tensors = [_activation("x", shape, dtype, 0.05 * min(case.gain, 4.0), case.zero_points[0])]
    tensors.append(_activation("y", shape, dtype, 0.02, case.zero_points[1]))
    return _graph(attributes, tensors, 1)


def max_pool2d(case: Case, dtype: DType) -> Graph:
    """Maximum pooling."""
    average = average_pool2d(case, dtype)
    pool = MaxPool2d(case.kernel, case.stride, case.padding, case.activation)
    return _graph(pool, [average[name] for name in ("x", "y")], 1)


def side_by_side(graphs: Sequence[Graph]) -> Graph:
    """One graph of several that have nothing to do with each other, in their order."""
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    inputs: list[str] = []
    outputs: list[str] = []
    for index, graph in enumerate(graphs):
        names = {name: f"{name}{index}" for name in graph.tensors}
        tensors |= {names[t.name]: replace(t, name=names[t.name]) for t in graph.tensors.values()}
        for node in graph.nodes:
            ends = [tuple(names[name] for name in part) for part in (node.inputs, node.outputs)]
            nodes.append(Node(f"{node.name}{index}", node.attributes, *ends))
        inputs += [names[name] for name in graph.inputs]
        outputs += [names[name] for name in graph.outputs]
    return Graph("side by side", tensors, tuple(nodes), tuple(inputs), tuple(outputs)).verify()


@contextmanager
def only(kernel: Kernel) -> Iterator[None]:
    """Where a kernel can run a node, the table offers no other."""
    every = table.candidates

    def candidates(node: Node, graph: Graph, isa: Iterable[str]) -> tuple[Kernel, ...]:
        found = every(node, graph, isa)
        return (kernel,) if kernel in found else found

    with mock.patch.object(table, "candidates", candidates):
        yield


def between_conversions(graph: Graph) -> Graph:
    """The graph of one node with inputs and outputs of rows of pixels."""
    nodes, tensors, inputs = list(graph.nodes), list(graph.tensors.values()), []
    for name in graph.inputs:
        outer = replace(graph[name], name=f"{name}.hwc", layout="hwc")
        inputs.append(outer.name if graph[name].layout == "chw" else name)
        if graph[name].layout == "chw":
            nodes.insert(0, Node(name, ConvertLayout(), (outer.name,), (name,)))
            tensors.append(outer)
    output = graph[graph.outputs[0]]
    if output.layout == "chw":
        outer = replace(output, name="result", layout="hwc")
        nodes.append(Node("result", ConvertLayout(), (output.name,), ("result",)))
        tensors.append(outer)
        output = outer
    by_name = {t.name: t for t in tensors}
    return Graph("between", by_name, tuple(nodes), tuple(inputs), (output.name,)).verify()


def concat(case: Case, dtype: DType) -> Graph:
    """Two activations along a dimension that the seed says."""
    h, w, c = case.size
    axis = (-1, -1, -2, -3)[case.seed % 4]
    sizes = [[1, h, w, c] for _ in "aby"]
    sizes[1][axis] = case.outputs
    sizes[2][axis] += case.outputs
    zero = case.zero_points[0]
    tensors = [
        _activation(name, tuple(size), dtype, 0.05, zero)
        for name, size in zip("aby", sizes, strict=True)
    ]
    return _graph(Concat(axis), tensors, 2)


def broadcast(case: Case, dtype: DType) -> Graph:
    """Some of rows, columns and channels repeated, by the seed."""
    before = tuple(1 if case.seed >> axis & 1 else size for axis, size in enumerate(case.size))
    shapes = ((1, *before), (1, *case.size))
    tensors = [
        _activation(n, s, dtype, 0.05, case.zero_points[0])
        for n, s in zip("xy", shapes, strict=True)
    ]
    return _graph(Broadcast(), tensors, 1)


def mean(case: Case, dtype: DType) -> Graph:
    """The mean over rows and columns."""
    scale = 0.05 * min(case.gain, 4.0)
    tensors = [_activation("x", (1, *case.size), dtype, scale, case.zero_points[0])]
    tensors.append(_activation("y", (1, 1, 1, case.size[2]), dtype, 0.05, case.zero_points[1]))
    return _graph(Mean(), tensors, 1)


def transpose_conv2d(case: Case, dtype: DType) -> Graph:
    """A transposed convolution; padding is cropped, the bottom and the right by the seed."""
    h, w, c = case.size
    crop = (case.padding[0][0], case.padding[1][0])
    spread = [(n - 1) * s + k for n, s, k in zip((h, w), case.stride, case.kernel, strict=True)]
    size = [max(1, n - before + case.seed % 3 - 1) for n, before in zip(spread, crop, strict=True)]
    weights = (case.outputs, *case.kernel, c // case.groups)
    shapes: list[tuple[int, ...]] = [(1, h, w, c), weights, (1, *size, case.outputs)]
    plain = TransposeConv2d(case.stride, crop, case.groups, case.activation)
    return _weighted(case, dtype, plain, shapes, 0)


def _moved(case: Case, dtype: DType, attributes: Attributes, shape: tuple[int, ...]) -> Graph:
    """A node that keeps its input's quantization."""
    shapes = ((1, *case.size), shape)
    tensors = [
        _activation(n, s, dtype, 0.05, case.zero_points[0])
        for n, s in zip("xy", shapes, strict=True)
    ]
    return _graph(attributes, tensors, 1)


def pad(case: Case, dtype: DType) -> Graph:
    """Padding with zeros, a number or the least value; of channels too where there are groups."""
    h, w, c = case.size
    (top, bottom), (left, right) = case.padding
    channels = (case.groups - 1, case.stride[0] * (case.groups - 1))
    value = (0.0, 1.3, -1e30)[case.seed % 3]
    shape = (1, h + top + bottom, w + left + right, c + sum(channels))
    return _moved(case, dtype, Pad(case.padding, channels, value), shape)


def _resize(case: Case, dtype: DType, kind: type[ResizeBilinear | ResizeNearest]) -> Graph:
    """Resizing by the kernel's size over the stride, in every way."""
    align, half = ((False, False), (True, False), (False, True))[case.seed % 3]
    size = [
        max(1, n * k // s) + case.padding[0][0]
        for n, k, s in zip(case.size[:2], case.kernel, case.stride, strict=True)
    ]
    return _moved(case, dtype, kind(align, half), (1, *size, case.size[2]))


def resize_nearest(case: Case, dtype: DType) -> Graph:
    """Resizing to the nearest pixel."""
    return _resize(case, dtype, ResizeNearest)


def resize_bilinear(case: Case, dtype: DType) -> Graph:
    """Resizing to means of four pixels."""
    return _resize(case, dtype, ResizeBilinear)


def transpose(case: Case, dtype: DType) -> Graph:
    """Any order of rows, columns and channels, by the seed."""
    order = (0, *list(itertools.permutations((1, 2, 3)))[case.seed % 6])
    shape = (1, *case.size)
    return _moved(case, dtype, Transpose(order), tuple(shape[axis] for axis in order))


BUILDERS: Mapping[str, Callable[[Case, DType], Graph]] = {
    "conv2d": conv2d,
    "depthwise_conv2d": conv2d,
    "fully_connected": fully_connected,
    "add": add,
    "average_pool2d": average_pool2d,
    "softmax": softmax,
    "convert_layout": convert_layout,
    "broadcast": broadcast,
    "concat": concat,
    "max_pool2d": max_pool2d,
    "mean": mean,
    "mul": mul,
    "pad": pad,
    "resize_bilinear": resize_bilinear,
    "resize_nearest": resize_nearest,
    "sub": sub,
    "transpose": transpose,
    "transpose_conv2d": transpose_conv2d,
    "unary": unary,
}
"""By op, what makes a graph of a case."""


def data(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Random inputs of a graph, extremes included."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name in graph.inputs:
        shape = graph[name].shape
        if graph[name].dtype == "int8":
            found[name] = rng.integers(-128, 128, shape).astype(np.int8)
        else:
            found[name] = rng.standard_normal(shape).astype(np.float32)
    return found
