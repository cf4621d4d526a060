"""What ONNX ops that pool, pad or resize maps become in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.frontends.onnx_fold import axes_of
from fedtiny.compiler.frontends.onnx_importer import Importer
from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.frontends.onnx_options import Pair, pair_of, window_geometry
from fedtiny.compiler.frontends.resize_match import Coordinates, match
from fedtiny.compiler.frontends.views import Value
from fedtiny.compiler.ir import AveragePool2d, Padding
from fedtiny.compiler.operators import MaxPool2d, Mean, Pad

FLOAT_MAX = float(np.finfo(np.float32).max)
MOST_PADDING = 1 << 15


def max_pool(importer: Importer, node: NodeRecord) -> None:
    """MaxPool without indices."""
    value, kernel, stride, padding, size = _pooled(importer, node)
    attributes = MaxPool2d(kernel, stride, padding)
    importer.make(node, attributes, (value.tensor,), value, value.resized(value.shape[1], size))


def average_pool(importer: Importer, node: NodeRecord) -> None:
    """AveragePool; padding that is counted is zeros around the map."""
    value, kernel, stride, padding, size = _pooled(importer, node)
    if node.integer("count_include_pad", 0) and any(map(any, padding)):
        if node.integer("ceil_mode", 0):
            raise node.unsupported("padding that is counted (count_include_pad) with ceil_mode")
        value = _padded(importer, node, value, Pad(padding))
        padding = ((0, 0), (0, 0))
    attributes = AveragePool2d(kernel, stride, padding)
    importer.make(node, attributes, (value.tensor,), value, value.resized(value.shape[1], size))


def _pooled(importer: Importer, node: NodeRecord) -> tuple[Value, Pair, Pair, Padding, Pair]:
    """The input, its windows, and the output's rows and columns."""
    node.arity(1, 1)
    value = importer.image(node)
    if node.integers("kernel_shape") is None:
        raise node.damaged("it has no kernel_shape")
    kernel, stride, dilation = (
        pair_of(node, name, value) for name in ("kernel_shape", "strides", "dilations")
    )
    padding, size = window_geometry(node, value, kernel, stride, dilation)
    if dilation != (1, 1):
        raise node.unsupported("a dilated window")
    if any(max(p) >= k for p, k in zip(padding, kernel, strict=True)):
        raise node.unsupported("a window that lies in the padding")
    if node.integer("ceil_mode", 0):
        padding, size = _rounded_up(value, kernel, stride, padding)
    return value, kernel, stride, padding, size


def _rounded_up(value: Value, kernel: Pair, stride: Pair, padding: Padding) -> tuple[Padding, Pair]:
    """Padding under which the windows that `ceil_mode` adds fit; they begin inside the input."""
    pads, sizes = [], []
    for i, (before, after) in enumerate(padding):
        n, k, s = value.size[i], kernel[i], stride[i]
        made = -(-(n + before + after - k) // s) + 1
        if (made - 1) * s >= n + before:
            made -= 1
        pads.append((before, max(after, (made - 1) * s + k - n - before)))
        sizes.append(made)
    return (pads[0], pads[1]), (sizes[0], sizes[1])


def global_max_pool(importer: Importer, node: NodeRecord) -> None:
    """GlobalMaxPool."""
    node.arity(1, 1)
    value = importer.image(node)
    shape = value.resized(value.shape[1], (1, 1))
    importer.make(node, MaxPool2d(value.size), (value.tensor,), value, shape)


def global_average_pool(importer: Importer, node: NodeRecord) -> None:
    """GlobalAveragePool."""
    node.arity(1, 1)
    value = importer.image(node)
    shape = value.resized(value.shape[1], (1, 1))
    importer.make(node, AveragePool2d(value.size), (value.tensor,), value, shape)


def reduce_mean(importer: Importer, node: NodeRecord) -> None:
    """ReduceMean over H and W, or over L."""
    node.arity(1, 2)
    value = importer.image(node)
    axes, rank = axes_of(node, importer.optional(node, 1)) or [], len(value.shape)
    if sorted(a % rank for a in axes) != list(range(2, rank)):
        raise node.unsupported(f"the mean over axes {axes}; {list(range(2, rank))} are supported")
    shape = value.resized(value.shape[1], (1, 1))
    if node.integer("keepdims", 1):
        importer.make(node, Mean(), (value.tensor,), value, shape)
        return
    kept = replace(node, outputs=(f"{node.outputs[0]}/kept",), name=f"{node.name}/mean")
    importer.make(kept, Mean(), (value.tensor,), value, shape)
    importer.reshape(node, importer.values[kept.outputs[0]], value.shape[:2])


def pad(importer: Importer, node: NodeRecord) -> None:
    """Pad with a constant: rows, columns and channels."""
    node.arity(2, 4)
    value = importer.image(node)
    rank, mode = len(value.shape), node.text("mode", "constant")
    if mode != "constant":
        raise node.unsupported(f"mode {mode!r}; padding with a constant is supported")
    fill, axes = importer.optional(node, 2), importer.optional(node, 3)
    order = list(range(rank)) if axes is None else [int(a) % rank for a in axes.reshape(-1)]
    given = [int(a) for a in importer.constant(node, 1).data.reshape(-1)]
    if len(given) != 2 * len(order) or any(not 0 <= a <= MOST_PADDING for a in given):
        raise node.unsupported(f"pads {given[:8]}; numbers from 0 to {MOST_PADDING} are supported")
    around = {a: (given[i], given[len(order) + i]) for i, a in enumerate(order)}
    batch, channels, rows, columns = (around.get(i, (0, 0)) for i in range(4))
    if any(batch):
        raise node.unsupported("padding of the batch")
    number = 0.0 if fill is None or fill.size != 1 else float(fill.reshape(-1)[0])
    if np.isnan(number) or (fill is not None and fill.size > 1):
        raise node.damaged("its value is no number")
    number = min(max(number, -FLOAT_MAX), FLOAT_MAX)
    size = (value.size[0] + sum(rows), value.size[1] + sum(columns))
    attributes = Pad((rows, columns), channels, number)
    shape = value.resized(value.shape[1] + sum(channels), size)
    importer.make(node, attributes, (value.tensor,), value, shape)


def _padded(importer: Importer, node: NodeRecord, value: Value, attributes: Pad) -> Value:
    """A value with something around it, under a name of its own."""
    name = f"{node.outputs[0]}/padded"
    size = (
        value.size[0] + sum(attributes.padding[0]),
        value.size[1] + sum(attributes.padding[1]),
    )
    step = replace(node, name=name, outputs=(name,))
    shape = value.resized(value.shape[1], size)
    importer.make(step, attributes, (value.tensor,), value, shape)
    return importer.values[name]


def resize(importer: Importer, node: NodeRecord) -> None:
    """Resize of rows and columns, nearest or linear, where TensorFlow Lite has the same pixels."""
    node.arity(1, 4)
    value = importer.image(node)
    mode = node.text("mode", "nearest")
    if mode not in ("nearest", "linear") or node.integer("antialias", 0):
        raise node.unsupported(f"mode {mode!r} or antialias; nearest and linear are supported")
    scales = _along(importer, node, value, 2)
    sizes = _along(importer, node, value, 3)
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.unsupported("keep_aspect_ratio_policy; stretch is supported")
    if sizes is None and scales is None:
        raise node.damaged("it has neither scales nor sizes")
    made, factors = [], []
    for i in range(2):
        if sizes is not None:
            made.append(int(sizes[i]))
            factors.append(made[i] / value.size[i])
        else:
            assert scales is not None
            factors.append(float(scales[i]))
            if not 2.0**-10 <= factors[i] <= 2.0**10:
                raise node.unsupported(f"a scale of {factors[i]}")
            made.append(int(np.floor(value.size[i] * np.float32(factors[i]))))
    if not all(1 <= n <= 1 << 15 for n in made):
        raise node.unsupported(f"{made} rows and columns")
    where = node.text("coordinate_transformation_mode", "half_pixel")
    rounding = node.text("nearest_mode", "round_prefer_floor") if mode == "nearest" else ""
    axes = [
        Coordinates(size, out, factor, where, rounding)
        for size, out, factor in zip(value.size, made, factors, strict=True)
    ]
    attributes = match(axes)
    if attributes is None:
        raise node.unsupported(
            f"{mode} with {where}{' and ' + rounding if rounding else ''} from {value.size} to "
            f"{tuple(made)}; supported is what equals align_corners, half pixels or neither in "
            "TensorFlow Lite"
        )
    shape = value.resized(value.shape[1], (made[0], made[1]))
    importer.make(node, attributes, (value.tensor,), value, shape)


def _along(
    importer: Importer, node: NodeRecord, value: Value, position: int
) -> NDArray[np.float64] | None:
    """Scales or sizes of rows and columns; None where the input is left out or empty."""
    given = importer.optional(node, position)
    if given is None or given.size == 0:
        return None
    rank, axes = len(value.shape), node.integers("axes")
    order = list(range(rank)) if axes is None else [a % rank for a in axes]
    if given.ndim != 1 or len(order) != given.size or not np.isfinite(given).all():
        raise node.damaged(f"input {position} is {list(given.shape)}")
    one = [1.0] * 4 if position == 2 else [*(float(n) for n in value.shape), 1.0][:4]
    for axis, number in zip(order, given.tolist(), strict=True):
        if axis < 2 and number != one[axis]:
            raise node.unsupported("resizing of the batch or of channels")
        one[axis] = number
    return np.array(one[2:], np.float64)


OPS: Mapping[str, Callable[[Importer, NodeRecord], None]] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Resize": resize,
}
"""Readers of ops on maps."""
