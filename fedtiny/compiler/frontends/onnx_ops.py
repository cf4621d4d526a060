"""What each ONNX op becomes in the graph; here those that join, reshape and reorder values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fedtiny.compiler.frontends import onnx_elementwise as elementwise
from fedtiny.compiler.frontends import onnx_layers as layers
from fedtiny.compiler.frontends import onnx_spatial as spatial
from fedtiny.compiler.frontends.onnx_fold import axes_of, resolve_shape
from fedtiny.compiler.frontends.onnx_importer import Constant, Importer
from fedtiny.compiler.frontends.onnx_lookup import gather
from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.ir import Softmax
from fedtiny.compiler.operators import Concat


def concat(importer: Importer, node: NodeRecord) -> None:
    """Concat along any dimension but the batch's."""
    node.arity(1, 64)
    values = [importer.value(node, i) for i in range(len(node.inputs))]
    first = importer.linear(node.outputs[0], values[0]) if values[0].flat is not None else values[0]
    rank = len(first.shape)
    axis = node.integer("axis", 0)
    axis = axis + rank if axis < 0 else axis
    rest = {(v.shape[:axis], v.shape[axis + 1 :]) for v in values}
    if len(rest) != 1 or not 1 <= axis < rank:
        shapes = ", ".join(str(list(v.shape)) for v in values[:4])
        raise node.unsupported(f"concatenation of {shapes} along dimension {axis}")
    values = [importer.ordered(node.outputs[0], value, first.order) for value in values]
    place = first.order[axis] - len(first.physical)
    total, made = first.shape[axis], values[0]
    if len(values) == 1:
        importer.define(node, made)
    for position, value in enumerate(values[1:], start=1):
        total += value.shape[axis]
        shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
        last = position == len(values) - 1
        name = node.outputs[0] if last else f"{node.outputs[0]}/{position}"
        step = node if last else replace(node, name=name, outputs=(name,))
        importer.make(step, Concat(place), (made.tensor, value.tensor), first, shape)
        made = importer.values[name]


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
        value = importer.linear(node.outputs[0], value)
    shape = tuple(value.shape[i] for i in order)
    seen = tuple(value.order[i] for i in order)
    importer.define(node, replace(value, shape=shape, order=seen))


def softmax(importer: Importer, node: NodeRecord) -> None:
    """Softmax over one dimension; a Mul before it is its beta."""
    node.arity(1, 1)
    value = importer.value(node, scaled=True)
    rank = len(value.shape)
    axis = node.integer("axis", 1 if importer.opset < 13 else -1)
    axis = axis + rank if axis < 0 else axis
    if not 1 <= axis < rank or (importer.opset < 13 and math.prod(value.shape[axis + 1 :]) != 1):
        raise node.unsupported("softmax over one dimension, not the batch's, is supported")
    if value.channels != axis or value.order[axis] + 1 != len(value.physical):
        others = [i for i in range(rank) if i != axis]
        places = {dimension: place for place, dimension in enumerate([*others, axis])}
        value = importer.ordered(node.outputs[0], value, tuple(places[i] for i in range(rank)))
    importer.make(node, Softmax(value.factor), (value.tensor,), value)


def identity(importer: Importer, node: NodeRecord) -> None:
    """Identity and Dropout for inference."""
    node.arity(1, 3)
    training = importer.optional(node, 2)
    if training is not None and np.any(training):
        raise node.unsupported("training mode")
    importer.define(node, importer.value(node, integer=True))


def cast(importer: Importer, node: NodeRecord) -> None:
    """Cast of float32 to float32."""
    node.arity(1, 1)
    if node.integer("to", 0) != 1:
        raise node.unsupported("only a cast to float32 is supported")
    importer.define(node, importer.value(node))


def shape(importer: Importer, node: NodeRecord) -> None:
    """Shape: a constant here, as every shape is known."""
    node.arity(1, 1)
    value = importer.value(node, integer=True)
    cut = value.shape[node.integer("start", 0) : node.integer("end", len(value.shape))]
    importer.constants[node.outputs[0]] = Constant(np.array(cut, np.int64))


OPS: Mapping[str, Callable[[Importer, NodeRecord], None]] = {
    "Cast": cast,
    "Concat": concat,
    "Dropout": identity,
    "Flatten": flatten,
    "Gather": gather,
    "Identity": identity,
    "Reshape": reshape,
    "Shape": shape,
    "Softmax": softmax,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    **elementwise.OPS,
    **layers.OPS,
    **spatial.OPS,
}
"""Every op that is supported on run-time values, quantization apart."""
