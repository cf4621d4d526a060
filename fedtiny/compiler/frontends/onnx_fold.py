"""Folding of constant subgraphs: the arithmetic on shapes and weights that exporters leave behind.

Only ops whose results are bounded by what they read are folded, and all results together are
bounded: a general evaluator would let a small file ask for unbounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fedtiny.compiler.frontends.onnx_model import NodeRecord

Array = NDArray[Any]
MAX_FOLDED_ELEMENTS = 1 << 27
"""Results of folding a whole model, in elements."""

_CASTS: Mapping[int, Any] = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.DOUBLE: np.float64,
    onnx.TensorProto.INT32: np.int32,
    onnx.TensorProto.INT64: np.int64,
    onnx.TensorProto.BOOL: np.bool_,
}


def fold(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array | None:
    """Evaluate a node whose inputs are all constants.

    Args:
        node: Any node.
        inputs: Its inputs' values, None where one is left out.
        budget: How many elements the result may have.

    Returns:
        Its output, or None when the op is not one that is folded.

    Raises:
        UsageError: The inputs do not fit the op, or the result exceeds the budget.
    """
    run = _FOLDS.get(node.op)
    if run is None:
        return None
    if node.op not in ("Constant",) and (not inputs or inputs[0] is None):
        raise node.damaged("its first input is missing")
    sizes = [x.size for x in inputs if x is not None]
    if sum(sizes) > budget:
        raise node.damaged("its constants are too large to fold")
    try:
        with np.errstate(all="ignore"):
            result = run(node, inputs, budget)
    except (ValueError, IndexError, TypeError, OverflowError, KeyError, AttributeError):
        raise node.damaged("its constant inputs do not fit together") from None
    if result.size > budget:
        raise node.damaged("its constant result is too large")
    return result


def axes_of(node: NodeRecord, values: Array | None) -> list[int] | None:
    """Axes from an input (newer operator sets) or else from the attribute; None when neither."""
    if values is not None:
        return [int(v) for v in values.reshape(-1)]
    found = node.integers("axes")
    return None if found is None else list(found)


def _second(inputs: list[Array | None]) -> Array | None:
    return inputs[1] if len(inputs) > 1 else None


def _constant(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array:
    found = node.tensor("value")
    if found is not None:
        return found
    if "value_float" in node.attributes:
        return np.array(node.real("value_float", 0.0), np.float32)
    if "value_int" in node.attributes:
        return np.array(node.integer("value_int", 0), np.int64)
    integers = node.integers("value_ints")
    if integers is not None:
        return np.array(integers, np.int64)
    raise node.unsupported("a constant of this kind; tensors, numbers and lists are supported")


def _of_shape(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array:
    shape = [int(v) for v in _first(inputs).reshape(-1)]
    size = 1
    for n in shape:
        size *= n
        if n < 0 or size > budget:
            raise node.damaged("its constant result is too large")
    value = node.tensor("value")
    value = np.zeros(1, np.float32) if value is None else value.reshape(1)
    return np.full(shape, value[0])


def _first(inputs: list[Array | None]) -> Array:
    return _needed(inputs, 0)


def _needed(inputs: list[Array | None], position: int) -> Array:
    """An input that must be there; `fold` turns the error into the node's."""
    found = inputs[position]
    if found is None:
        raise ValueError
    return found


def _binary(run: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def evaluate(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array:
        a, b = _first(inputs), _needed(inputs, 1)
        size = 1
        for n in np.broadcast_shapes(a.shape, b.shape):
            size *= n
        if size > budget:
            raise node.damaged("its constant result is too large")
        return np.asarray(run(a, b), a.dtype)

    return evaluate


def _divide(a: Array, b: Array) -> Array:
    if np.issubdtype(a.dtype, np.floating):
        return np.asarray(a / b)
    if np.any(b == 0):
        raise ValueError
    return np.asarray(np.fix(a / b)).astype(a.dtype)


def _unsqueeze(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array:
    axes = axes_of(node, _second(inputs))
    return np.expand_dims(_first(inputs), tuple(axes or ()))


def _squeeze(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array:
    axes = axes_of(node, _second(inputs))
    return np.squeeze(_first(inputs), None if axes is None else tuple(axes))


def _slice(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array:
    x = _first(inputs)
    rest = [None if v is None else [int(i) for i in v.reshape(-1)] for v in inputs[1:]]
    rest += [None] * (4 - len(rest))
    starts, ends, axes, steps = rest[:4]
    if starts is None or ends is None:
        raise ValueError
    cut = [slice(None)] * x.ndim
    numbers = zip(axes or range(len(starts)), starts, ends, steps or [1] * len(starts), strict=True)
    for axis, start, end, step in numbers:
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


def _reshape(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array:
    x, shape = _first(inputs), _needed(inputs, 1)
    return x.reshape(resolve_shape(node, x.shape, shape))


def resolve_shape(node: NodeRecord, source: tuple[int, ...], target: Array) -> tuple[int, ...]:
    """The shape that a Reshape makes, with its 0 (keep) and -1 (whatever is left) filled in."""
    if target.dtype != np.int64 or target.ndim != 1 or target.size > 8:
        raise node.damaged("its shape is not a short list of int64")
    shape = [int(v) for v in target]
    for i, n in enumerate(shape):
        if n == 0 and not node.integer("allowzero", 0):
            if i >= len(source):
                raise node.damaged(f"shape {shape} for {list(source)}")
            shape[i] = source[i]
    total, known = 1, 1
    for n in source:
        total *= n
    for n in shape:
        known *= n if n != -1 else 1
    if shape.count(-1) == 1 and known > 0 and total % known == 0:
        shape[shape.index(-1)] = total // known
        known = total
    if known != total or min(shape, default=1) < 0:
        raise node.damaged(f"shape {shape} for {list(source)}")
    return tuple(shape)


def _transpose(node: NodeRecord, inputs: list[Array | None], budget: int) -> Array:
    return _first(inputs).transpose(node.integers("perm"))


_FOLDS: Mapping[str, Callable[[NodeRecord, list[Array | None], int], Array]] = {
    "Add": _binary(np.add),
    "Cast": lambda node, x, budget: _first(x).astype(_CASTS[node.integer("to", 0)]),
    "Concat": lambda node, x, budget: np.concatenate(
        [v for v in x if v is not None], node.integer("axis", 0)
    ),
    "Constant": _constant,
    "ConstantOfShape": _of_shape,
    "Div": _binary(_divide),
    "Gather": lambda node, x, budget: np.take(_first(x), _needed(x, 1), node.integer("axis", 0)),
    "Identity": lambda node, x, budget: _first(x),
    "Mul": _binary(np.multiply),
    "Reshape": _reshape,
    "Shape": lambda node, x, budget: np.array(
        _first(x).shape[node.integer("start", 0) : node.integer("end", 8)], np.int64
    ),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _binary(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
