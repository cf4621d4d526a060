"""The ONNX form of operators that pad, resize, transpose or spread maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fedtiny.compiler.ir import Attributes, Graph, Node
from fedtiny.compiler.operators import (
    Broadcast,
    Pad,
    ResizeBilinear,
    ResizeNearest,
    Transpose,
    TransposeConv2d,
)
from fedtiny.compiler.quantization import constant_value, scale_of, zero_point_of
from fedtiny.exporters.onnx_shapes import TO_NCHW, nchw
from fedtiny.exporters.ungroup import ungrouped

if TYPE_CHECKING:
    from fedtiny.exporters.onnx import _Writer as Writer

Step = tuple[str, list[str], dict[str, Any]]


def pad(writer: Writer, node: Node) -> list[Step]:
    """Pad."""
    a, graph = node.attributes, writer.graph
    assert isinstance(a, Pad)
    around = [(0, 0), a.channels, *a.padding]
    amounts = np.array([[before for before, _ in around], [after for _, after in around]], np.int64)
    value = constant_value(graph, node.output, a.value)
    if graph[node.output].dtype == "int8":
        value = (value - zero_point_of(graph, node.output)) * scale_of(graph, node.output)
    pads = writer.initializer(f"{node.name}/pads", amounts.reshape(-1))
    fill = writer.initializer(f"{node.name}/value", np.array(value, np.float32))
    return [("Pad", [pads, fill], {"mode": "constant"})]


def resize(writer: Writer, node: Node) -> list[Step]:
    """Resize of rows and columns to a given size.

    onnxruntime moves transposes past a Resize and then fails on its sizes; it does not move them
    past a Reshape.
    """
    a = node.attributes
    assert isinstance(a, ResizeBilinear | ResizeNearest)
    size = np.array(writer.graph[node.output].shape[1:3], np.int64)
    sizes = writer.initializer(f"{node.name}/sizes", size)
    where = "half_pixel" if a.half_pixel_centers else "asymmetric"
    where = "align_corners" if a.align_corners else where
    attributes = {"axes": [2, 3], "coordinate_transformation_mode": where, "mode": "linear"}
    if isinstance(a, ResizeNearest):
        rounds = a.align_corners or a.half_pixel_centers
        attributes["mode"] = "nearest"
        attributes["nearest_mode"] = "round_prefer_ceil" if rounds else "floor"
    steps: list[Step] = []
    if any(isinstance(other.attributes, Transpose) for other in writer.graph.nodes):
        for name, shape in {
            "column": [0, 0, -1, 1],
            "map": [0, 0, *writer.graph[node.inputs[0]].shape[1:3]],
        }.items():
            wanted = writer.initializer(f"{node.name}/{name}", np.array(shape, np.int64))
            steps.append(("Reshape", [wanted], {}))
    return [*steps, ("Resize", ["", "", sizes], attributes)]


def transpose(writer: Writer, node: Node) -> list[Step]:
    """Transpose, as ONNX orders the dimensions."""
    a = node.attributes
    assert isinstance(a, Transpose)
    order = a.order
    if len(order) == 4:
        order = tuple(TO_NCHW.index(order[axis]) for axis in TO_NCHW)
    return [("Transpose", [], {"perm": list(order)})]


def broadcast(writer: Writer, node: Node) -> list[Step]:
    """Expand."""
    shape = np.array([1, *nchw(writer.graph[node.output].shape)[1:]], np.int64)
    return [("Expand", [writer.initializer(f"{node.name}/shape", shape)], {})]


def transpose_conv2d(writer: Writer, node: Node) -> list[Step]:
    """ConvTranspose."""
    a, graph = node.attributes, writer.graph
    assert isinstance(a, TransposeConv2d)
    kernel = graph[node.inputs[1]].shape[1:3]
    size, out = (graph[name].shape[1:3] for name in (node.inputs[0], node.output))
    after = [
        (n - 1) * s + k - c - m
        for n, s, k, c, m in zip(size, a.stride, kernel, a.crop, out, strict=True)
    ]
    attributes = {
        "group": a.groups,
        "kernel_shape": list(kernel),
        "output_padding": [max(0, -n) for n in after],
        "pads": [*a.crop, *(max(0, n) for n in after)],
        "strides": list(a.stride),
    }
    weights = writer.constant(node.inputs[1], (3, 0, 1, 2))
    return [("ConvTranspose", [weights, writer.constant(node.inputs[2])], attributes)]


def expressible(graph: Graph) -> Graph:
    """Give int8 transposed convolutions one group: ONNX has no scales for each of their channels.

    ONNX's weights are `(in, out / groups, kh, kw)`: float ones in groups are put into that order,
    seen as `(out / groups, kh, kw, in)`.
    """
    nodes, tensors = list(graph.nodes), []
    for i, node in enumerate(nodes):
        a = node.attributes
        if not isinstance(a, TransposeConv2d) or a.groups == 1:
            continue
        weights = graph[node.inputs[1]]
        if weights.dtype == "int8":
            data = ungrouped(weights.value, a.groups)
            nodes[i] = replace(node, attributes=replace(a, groups=1))
        else:
            out, kh, kw, depth = weights.shape
            parts = weights.value.reshape(a.groups, out // a.groups, kh, kw, depth)
            data = parts.transpose(1, 2, 3, 0, 4).reshape(out // a.groups, kh, kw, -1)
        tensors.append(replace(weights, shape=data.shape, data=data))
    return graph.rewrite(nodes, tensors) if tensors else graph


OPERATORS: Mapping[type[Attributes], Callable[[Writer, Node], list[Step]]] = {
    Broadcast: broadcast,
    Pad: pad,
    ResizeBilinear: resize,
    ResizeNearest: resize,
    Transpose: transpose,
    TransposeConv2d: transpose_conv2d,
}
"""By the type of a node's attributes, the ONNX operators that it becomes."""
