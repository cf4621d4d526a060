"""The TensorFlow Lite form of operators that pad, resize, transpose or spread maps.

TRANSPOSE_CONV has neither groups nor any padding but SAME and VALID. Zeros make up for both:
weights of a group get zeros for the channels of the others, rows of zeros around a kernel move the
padding, and a PAD with zeros makes an input reach further.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fedtiny.compiler.ir import Attributes, Graph, Node, Tensor
from fedtiny.compiler.operators import (
    Broadcast,
    Pad,
    ResizeBilinear,
    ResizeNearest,
    Transpose,
    TransposeConv2d,
)
from fedtiny.compiler.quantization import constant_value
from fedtiny.errors import UnsupportedError
from fedtiny.exporters.ungroup import ungrouped

if TYPE_CHECKING:
    from fedtiny.exporters.tflite import _Writer as Writer

Indices = list[int]
Weights = NDArray[np.generic]
_CODE = schema.BuiltinOperator
_KIND = schema.BuiltinOptions
INT8_VERSIONS: Mapping[int, int] = {
    _CODE.RESIZE_BILINEAR: 3,
    _CODE.RESIZE_NEAREST_NEIGHBOR: 3,
    _CODE.TRANSPOSE: 2,
    _CODE.TRANSPOSE_CONV: 3,
}
"""Versions of operators in int8 files, where they are not 1."""


def pad(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """PAD with zeros, PADV2 with another value."""
    a, output = node.attributes, writer.graph[node.output]
    assert isinstance(a, Pad)
    amounts = [(0, 0), *a.padding, a.channels]
    inputs = [*inputs, writer.constant(f"{node.name}/paddings", amounts)]
    fill, zero = (constant_value(writer.graph, node.output, v) for v in (a.value, 0.0))
    if fill == zero:
        writer.operator(_CODE.PAD, inputs, outputs, _KIND.PadOptions, schema.PadOptionsT())
        return
    data = np.array([fill], output.dtype)
    value = Tensor(f"{node.name}/fill", (1,), output.dtype, output.quantization, data)
    inputs.append(writer.tensor(value))
    writer.operator(_CODE.PADV2, inputs, outputs, _KIND.PadV2Options, schema.PadV2OptionsT())


def resize(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR."""
    a = node.attributes
    assert isinstance(a, ResizeBilinear | ResizeNearest)
    size = list(writer.graph[node.output].shape[1:3])
    inputs = [*inputs, writer.constant(f"{node.name}/size", size)]
    if isinstance(a, ResizeBilinear):
        code, kind, options = (
            _CODE.RESIZE_BILINEAR,
            _KIND.ResizeBilinearOptions,
            schema.ResizeBilinearOptionsT(),
        )
    else:
        code, kind, options = (
            _CODE.RESIZE_NEAREST_NEIGHBOR,
            _KIND.ResizeNearestNeighborOptions,
            schema.ResizeNearestNeighborOptionsT(),
        )
    options.alignCorners, options.halfPixelCenters = a.align_corners, a.half_pixel_centers
    writer.operator(code, inputs, outputs, kind, options)


def transpose(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """TRANSPOSE."""
    assert isinstance(node.attributes, Transpose)
    inputs = [*inputs, writer.constant(f"{node.name}/order", node.attributes.order)]
    kind, options = _KIND.TransposeOptions, schema.TransposeOptionsT()
    writer.operator(_CODE.TRANSPOSE, inputs, outputs, kind, options)


def broadcast(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """BROADCAST_TO."""
    shape = list(writer.graph[node.output].shape)
    inputs = [*inputs, writer.constant(f"{node.name}/shape", shape)]
    kind, options = _KIND.BroadcastToOptions, schema.BroadcastToOptionsT()
    writer.operator(_CODE.BROADCAST_TO, inputs, outputs, kind, options, version=3)


def transpose_conv2d(writer: Writer, node: Node, inputs: Indices, outputs: Indices) -> None:
    """TRANSPOSE_CONV of a node that `expressible` has seen."""
    from fedtiny.exporters.tflite_operators import ACTIVATIONS

    a, graph = node.attributes, writer.graph
    assert isinstance(a, TransposeConv2d)
    shape = list(graph[node.output].shape)
    options = schema.TransposeConvOptionsT()
    valid = _is_valid(node, graph, graph[node.inputs[1]].shape)
    options.padding = schema.Padding.VALID if valid else schema.Padding.SAME
    options.strideH, options.strideW = a.stride
    options.fusedActivationFunction = ACTIVATIONS[a.activation]
    x, weights, bias = inputs
    inputs = [writer.constant(f"{node.name}/shape", shape), weights, x, bias]
    version = 3 if a.activation == "none" else 4
    kind = _KIND.TransposeConvOptions
    writer.operator(_CODE.TRANSPOSE_CONV, inputs, outputs, kind, options, version)


def expressible(graph: Graph) -> Graph:
    """Give transposed convolutions the form that TRANSPOSE_CONV has; the meaning stays.

    Raises:
        UnsupportedError: A transposed convolution drops more rows than its stride; names the node.
    """
    nodes: list[Node] = []
    tensors: list[Tensor] = []
    for node in graph.nodes:
        a = node.attributes
        if isinstance(a, TransposeConv2d):
            weights = graph[node.inputs[1]]
            data = ungrouped(weights.value, a.groups)
            node = replace(node, attributes=replace(a, groups=1))
            if not _is_valid(node, graph, data.shape):
                node, data = _with_same_padding(node, graph, data, nodes, tensors)
            tensors.append(replace(weights, shape=data.shape, data=data))
        nodes.append(node)
    return graph.rewrite(nodes, tensors) if tensors else graph


def _is_valid(node: Node, graph: Graph, kernel: tuple[int, ...]) -> bool:
    """Whether VALID padding, which drops nothing, makes the output."""
    a = node.attributes
    assert isinstance(a, TransposeConv2d)
    size, out = (graph[name].shape[1:3] for name in (node.inputs[0], node.output))
    return not any(a.crop) and all(
        s * (n - 1) <= m - k < s * n
        for n, m, k, s in zip(size, out, kernel[1:3], a.stride, strict=True)
    )


def _with_same_padding(
    node: Node, graph: Graph, data: Weights, nodes: list[Node], tensors: list[Tensor]
) -> tuple[Node, Weights]:
    """The node and its weights for SAME padding; where the input is too small, a PAD before it."""
    a, source = node.attributes, graph[node.inputs[0]]
    assert isinstance(a, TransposeConv2d)
    added, around, crop = [], [], []
    for axis in range(2):
        size, out = source.shape[1 + axis], graph[node.output].shape[1 + axis]
        wanted = -(-out // a.stride[axis])
        if wanted < size:
            raise UnsupportedError(
                f"node {node.name!r}: a transposed convolution of {size} pixels, stride "
                f"{a.stride[axis]}, to {out} has no TensorFlow Lite form."
            )
        added.append((0, wanted - size))
        around.append(_zeros_around(data.shape[1 + axis], a.stride[axis], a.crop[axis], out))
        crop.append(a.crop[axis] + around[axis][0])
    data = np.pad(data, ((0, 0), *around, (0, 0)))
    node = replace(node, attributes=replace(a, crop=(crop[0], crop[1])))
    if any(map(any, added)):
        shape = (1, source.shape[1] + added[0][1], source.shape[2] + added[1][1], source.shape[3])
        padded = replace(source, name=f"{node.name}/padded", shape=shape)
        tensors.append(padded)
        nodes.append(Node(padded.name, Pad((added[0], added[1])), (source.name,), (padded.name,)))
        node = replace(node, inputs=(padded.name, *node.inputs[1:]))
    return node, data


def _zeros_around(kernel: int, stride: int, crop: int, out: int) -> tuple[int, int]:
    """Rows of zeros before and after a kernel under which SAME padding crops the right rows.

    SAME crops `max(0, (ceil(out / stride) - 1) * stride + kernel - out) // 2` rows.
    """
    without = (-(-out // stride) - 1) * stride - out
    before = 0
    while True:
        after = max(0, 2 * (crop + before) - without - kernel - before)
        if max(0, without + kernel + before + after) // 2 == crop + before:
            return before, after
        before += 1


OPERATORS: Mapping[type[Attributes], Callable[[Writer, Node, Indices, Indices], None]] = {
    Broadcast: broadcast,
    Pad: pad,
    ResizeBilinear: resize,
    ResizeNearest: resize,
    Transpose: transpose,
    TransposeConv2d: transpose_conv2d,
}
"""By the type of a node's attributes, what writes it: given the indices of inputs and outputs."""
