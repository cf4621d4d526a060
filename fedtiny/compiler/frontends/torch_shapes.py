"""What torch's operators that join, reshape and reorder values become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fedtiny.compiler.frontends.torch_translation import Translation, argument, shape_of
from fedtiny.compiler.ir import Softmax
from fedtiny.compiler.operators import Broadcast, Concat

if TYPE_CHECKING:
    from torch import fx


def cat(translation: Translation, source: fx.Node) -> None:
    """Cat along any dimension but the batch's."""
    given: Any = source.args[0]
    parts = [translation.activation_of(source, part, "a part") for part in given]
    rank, label = len(shape_of(source)), translation.label(source)
    axis = argument(source, 1, 0) % rank
    first = parts[0] if parts[0].flat is None else translation.linear(label, parts[0])
    if axis == 0 or any(len(part.shape) != rank for part in parts) or rank > 4:
        raise translation.error(source, "cat is supported along any dimension but the batch's")
    parts = [translation.ordered(label, part, first.order) for part in parts]
    attributes = Concat(first.order[axis] - len(first.physical))
    name = translation.builder.activation(
        label, replace(first, shape=shape_of(source)).physical, "float32", None
    )
    names = [part.tensor for part in parts]
    if len(names) == 1:
        translation.values[label] = first
        return
    translation.builder.concat(label, names, name, attributes)
    translation.values[label] = replace(first, shape=shape_of(source), tensor=name)


def reshape(translation: Translation, source: fx.Node) -> None:
    """flatten, reshape, view, squeeze and unsqueeze."""
    x, shape, label = translation.activation(source), shape_of(source), translation.label(source)
    if not 2 <= len(shape) <= 4:
        raise translation.error(source, f"{shape}; two to four dimensions are supported")
    translation.values[label] = translation.reshaped(label, x, shape)


def permute(translation: Translation, source: fx.Node) -> None:
    """permute: only how the value is seen changes."""
    x, given = translation.activation(source), source.args[1]
    assert isinstance(given, list | tuple)
    _turned(translation, source, [int(axis) % len(x.shape) for axis in given])  # type: ignore[arg-type]


def transpose(translation: Translation, source: fx.Node) -> None:
    """Transpose of two dimensions."""
    rank = len(translation.activation(source).shape)
    order = list(range(rank))
    a, b = (int(argument(source, i, 0)) % rank for i in (1, 2))
    order[a], order[b] = b, a
    _turned(translation, source, order)


def _turned(translation: Translation, source: fx.Node, order: list[int]) -> None:
    x, label = translation.activation(source), translation.label(source)
    if order[0] != 0:
        raise translation.error(source, "the batch must stay in front")
    x = x if x.flat is None else translation.linear(label, x)
    shape, seen = (tuple(part[i] for i in order) for part in (x.shape, x.order))
    translation.values[label] = replace(x, shape=shape, order=seen)


def expand(translation: Translation, source: fx.Node) -> None:
    """Expand."""
    x, shape, label = translation.activation(source), shape_of(source), translation.label(source)
    if len(shape) > 4:
        raise translation.error(source, f"{shape}; up to four dimensions are supported")
    x = translation.of_rank(
        label, x if x.flat is None else translation.linear(label, x), len(shape)
    )
    translation.make(source, Broadcast(), [x.tensor], x, shape)


def softmax(translation: Translation, source: fx.Node) -> None:
    """Softmax over one dimension."""
    x, label = translation.activation(source), translation.label(source)
    rank = len(x.shape)
    axis = int(argument(source, 1, -1)) % rank
    if axis == 0:
        raise translation.error(source, "softmax over the batch")
    if rank > 2 and (x.channels != axis or x.order[axis] + 1 != len(x.physical)):
        places = {
            i: place for place, i in enumerate([*(i for i in range(rank) if i != axis), axis])
        }
        x = translation.ordered(label, x, tuple(places[i] for i in range(rank)))
    translation.make(source, Softmax(), [x.tensor], x)


OPS: Mapping[str, Callable[[Translation, fx.Node], None]] = {
    "_softmax": softmax,
    "_unsafe_view": reshape,
    "cat": cat,
    "expand": expand,
    "flatten": reshape,
    "permute": permute,
    "reshape": reshape,
    "softmax": softmax,
    "squeeze": reshape,
    "transpose": transpose,
    "unsqueeze": reshape,
    "view": reshape,
}
"""By operator, what translates it."""
