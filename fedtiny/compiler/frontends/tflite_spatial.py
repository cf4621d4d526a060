"""What TFLite operators that pool, pad, resize or join maps become in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fedtiny.compiler.frontends.int8_limits import mean_fits
from fedtiny.compiler.frontends.tflite_importer import Importer
from fedtiny.compiler.frontends.tflite_model import OperatorRecord
from fedtiny.compiler.frontends.tflite_options import (
    check_same_quantization,
    fused_activation,
    pair_of,
    window_geometry,
)
from fedtiny.compiler.ir import AveragePool2d, Reshape
from fedtiny.compiler.operators import (
    Concat,
    MaxPool2d,
    Mean,
    Pad,
    ResizeBilinear,
    ResizeNearest,
)

FLOAT_MAX = float(np.finfo(np.float32).max)
MAX_CONCAT = 64
"""Inputs of a concatenation."""
MOST_SIZE = 1 << 15
"""Rows or columns that are added, or made by resizing."""


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
    source, options = importer.source(op), importer.options(op, "Pool2DOptions")
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
    """CONCATENATION along any dimension but the batch's."""
    options = importer.options(op, "ConcatenationOptions")
    if len(op.outputs) != 1 or not 2 <= len(op.inputs) <= MAX_CONCAT:
        raise importer.unsupported(op, f"{len(op.inputs)} inputs; 2 to {MAX_CONCAT} are supported")
    sources = [importer.source(op, i) for i in range(len(op.inputs))]
    rank, axis = len(sources[0].shape), int(options.number(0, "i"))
    axis = axis + rank if axis < 0 else axis
    rest = {(s.shape[:axis], s.shape[axis + 1 :], s.dtype) for s in sources}
    if len(rest) != 1 or not 1 <= axis < rank or rank > 4 or options.number(1, "b") != 0:
        raise importer.unsupported(
            op, "of up to four dimensions one, not the batch's, may be joined, without activation"
        )
    for source in sources:
        check_same_quantization(importer, op, source)
    record = importer.model.tensors[op.outputs[0]]
    total = sum(s.shape[axis] for s in sources)
    shape = (*sources[0].shape[:axis], total, *sources[0].shape[axis + 1 :])
    if record.shape != shape:
        raise importer.damaged(op, f"its output is {list(record.shape)}, not {list(shape)}")
    name = importer.add_activation(op.outputs[0])
    if importer.builder.tensors[name].dtype != sources[0].dtype:
        raise importer.unsupported(op, "input and output differ in type")
    importer.builder.concat(op.name, [s.name for s in sources], name, Concat(axis - rank))
    importer.define(op.outputs[0], name)


def pad(importer: Importer, op: OperatorRecord) -> None:
    """PAD with zeros, PADV2 with a constant."""
    given = op.op_name == "PADV2"
    importer.arity(op, 2 + given, 2 + given)
    source, amounts = importer.source(op), importer.constant(op, 1).data
    integers = amounts.dtype in (np.int32, np.int64)
    if len(source.shape) != 4 or amounts.shape != (4, 2) or not integers:
        raise importer.unsupported(op, "padding of a 4-D tensor is supported")
    if np.any(amounts[0]) or np.any(amounts < 0) or np.any(amounts > MOST_SIZE):
        raise importer.unsupported(op, f"padding {amounts.tolist()}")
    check_same_quantization(importer, op, source)
    value = 0.0
    if given:
        fill = importer.constant(op, 2).data
        if fill.size != 1 or str(fill.dtype) != source.dtype or np.isnan(fill).any():
            raise importer.unsupported(op, f"a value of {fill.dtype} for a {source.dtype} input")
        value = min(max(float(fill.item()), -FLOAT_MAX), FLOAT_MAX)
        if source.quantization is not None:
            value -= int(source.quantization.zero_point)
            value *= float(source.quantization.scale)
    rows, columns, channels = ((int(a), int(b)) for a, b in amounts[1:])
    added = zip(source.shape[1:], (rows, columns, channels), strict=True)
    shape = (1, *(n + sum(more) for n, more in added))
    importer.make(op, Pad((rows, columns), channels, value), (source.name,), shape)


def resize(importer: Importer, op: OperatorRecord) -> None:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""
    importer.arity(op, 2, 2)
    bilinear = op.op_name == "RESIZE_BILINEAR"
    name = "ResizeBilinearOptions" if bilinear else "ResizeNearestNeighborOptions"
    source, options = importer.source(op), importer.options(op, name)
    size = importer.constant(op, 1).data
    if len(source.shape) != 4 or size.dtype != np.int32 or size.shape != (2,):
        raise importer.unsupported(op, "resizing of a 4-D tensor to a constant size is supported")
    first = 2 if bilinear else 0  # the schema keeps two fields of old for RESIZE_BILINEAR
    align, half = (options.number(first + i, "B") != 0 for i in range(2))
    if (align and half) or not np.all((size >= 1) & (size <= MOST_SIZE)):
        raise importer.damaged(op, f"align_corners with half_pixel_centers, or to {size.tolist()}")
    check_same_quantization(importer, op, source)
    kind = ResizeBilinear if bilinear else ResizeNearest
    shape = (1, int(size[0]), int(size[1]), source.shape[3])
    importer.make(op, kind(align, half), (source.name,), shape)


_OP = schema.BuiltinOperator
OPS: Mapping[int, tuple[Callable[[Importer, OperatorRecord], None], int]] = {
    _OP.AVERAGE_POOL_2D: (average_pool_2d, 3),
    _OP.CONCATENATION: (concatenation, 3),
    _OP.MAX_POOL_2D: (max_pool_2d, 3),
    _OP.MEAN: (mean, 3),
    _OP.PAD: (pad, 4),
    _OP.PADV2: (pad, 4),
    _OP.RESIZE_BILINEAR: (resize, 4),
    _OP.RESIZE_NEAREST_NEIGHBOR: (resize, 4),
}
"""Readers of operators, each with the newest version of the operator that it understands."""
