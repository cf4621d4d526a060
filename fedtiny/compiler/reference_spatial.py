"""The reference meaning of operators that move or pool pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedtiny.compiler import quantization as q
from fedtiny.compiler import resizing
from fedtiny.compiler.ir import Attributes, Graph, Node
from fedtiny.compiler.operators import (
    Broadcast,
    Concat,
    MaxPool2d,
    Mean,
    Pad,
    ResizeBilinear,
    ResizeNearest,
    Transpose,
)
from fedtiny.compiler.reference_common import Array, Run, activate, saturate, windows


def _max_pool(x: Array, attributes: MaxPool2d) -> Array:
    a = attributes
    lowest = -128 if x.dtype == np.int8 else -np.inf
    view = windows(x, a.kernel, a.stride, a.padding, fill=lowest)
    greatest: Array = view.max(axis=(4, 5))
    return greatest


def _max_pool_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, MaxPool2d)
    return activate(_max_pool(x, node.attributes), node.attributes.activation)


def _max_pool_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, MaxPool2d)
    return saturate(graph, node, _max_pool(x, node.attributes))


def _concat(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, Concat)
    return np.concatenate([x, values[node.inputs[1]]], axis=node.attributes.axis)


def _broadcast(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    return np.broadcast_to(x, (len(x), *graph[node.output].shape[1:]))


def _mean_float(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    average: Array = x.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    return average.astype(np.float32)


def _mean_int8(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    p = q.mean_parameters(node, graph)
    total = x.sum(axis=(1, 2), keepdims=True, dtype=np.int64) + p.offset_in
    scaled = q.multiply_by_quantized_multiplier(total, p.multiplier, p.shift)
    return saturate(graph, node, scaled + p.offset_out)


def _pad(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    a = node.attributes
    assert isinstance(a, Pad)
    fill = q.constant_value(graph, node.output, a.value)
    return np.pad(x, ((0, 0), *a.padding, a.channels), constant_values=fill)


def _transpose(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    assert isinstance(node.attributes, Transpose)
    return x.transpose(node.attributes.order)


def _resize_nearest(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    a = node.attributes
    assert isinstance(a, ResizeNearest)
    axes = zip(x.shape[1:3], graph[node.output].shape[1:3], strict=True)
    rows, columns = (resizing.nearest(*axis, a) for axis in axes)
    return x[:, rows][:, :, columns]


def _resize_bilinear(graph: Graph, node: Node, x: Array, values: Mapping[str, Array]) -> Array:
    a = node.attributes
    assert isinstance(a, ResizeBilinear)
    axes = zip(x.shape[1:3], graph[node.output].shape[1:3], strict=True)
    is_int8 = x.dtype == np.int8
    along = resizing.linear_int8 if is_int8 else resizing.linear
    (top, bottom, down), (left, right, across) = (along(*axis, a) for axis in axes)
    wide = x.astype(np.int64) if is_int8 else x
    one = resizing.UNIT if is_int8 else np.float32(1)
    down, across = down[:, None, None], across[:, None]
    total: Array = (
        wide[:, top][:, :, left] * (one - down) * (one - across)
        + wide[:, bottom][:, :, left] * down * (one - across)
        + wide[:, top][:, :, right] * (one - down) * across
        + wide[:, bottom][:, :, right] * down * across
    )
    if not is_int8:
        return total
    half = resizing.UNIT**2 // 2  # halves away from zero
    rounded: Array = np.sign(total) * ((np.abs(total) + half) // resizing.UNIT**2)
    return rounded.astype(np.int8)


FLOAT: Mapping[type[Attributes], Run] = {
    Broadcast: _broadcast,
    Concat: _concat,
    MaxPool2d: _max_pool_float,
    Mean: _mean_float,
    Pad: _pad,
    ResizeBilinear: _resize_bilinear,
    ResizeNearest: _resize_nearest,
    Transpose: _transpose,
}
INT8: Mapping[type[Attributes], Run] = {
    Broadcast: _broadcast,
    Concat: _concat,
    MaxPool2d: _max_pool_int8,
    Mean: _mean_int8,
    Pad: _pad,
    ResizeBilinear: _resize_bilinear,
    ResizeNearest: _resize_nearest,
    Transpose: _transpose,
}
