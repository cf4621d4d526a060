"""Values of a framework that counts channels first, as views of our channels-last tensors.

`(N, C, H, W)` activations are held as NHWC from the input on, and `(N, C, L)` as `(N, L, 1, C)`, so
that no transpose is needed. A transpose, and a reshape that keeps the channels, only change how a
value is seen; flattening `(1, C, H, W)` remembers C, H and W, and the fully connected layer after
it permutes its weights. Where a node needs another order than a value has, a transpose is put
between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.frontends.graph_builder import GraphBuilder
from fedtiny.compiler.ir import Reshape
from fedtiny.compiler.operators import Transpose

NCHW = (0, 3, 1, 2)
"""Where in NHWC each dimension of NCHW is."""
NCL = (0, 3, 1)
"""Where in `(N, L, 1, C)` each dimension of `(N, C, L)` is."""
Shape = tuple[int, ...]
IMAGES = {3: NCL, 4: NCHW}
"""By rank, the order of what is convolved and pooled."""


@dataclass(frozen=True)
class Value:
    """A run-time value of the framework, as a view of a tensor of ours.

    Attributes:
        tensor: The name of our tensor.
        shape: As the framework sees it, batch 1.
        order: For each of its dimensions, which dimension of our tensor it is; those that are none
            have size 1.
        flat: `(C, H, W)` when the framework's flat order is CHW and ours is HWC.
        integer: Whether it stands for the int8 values rather than for the real ones.
        factor: What its reader must multiply it by.
    """

    tensor: str
    shape: tuple[int, ...]
    order: tuple[int, ...]
    flat: tuple[int, int, int] | None = None
    integer: bool = False
    factor: float = 1.0

    @property
    def is_image(self) -> bool:
        """Whether it is NCHW or NCL to the framework and NHWC to us."""
        return self.order in (NCHW, NCL)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        height, width = (*self.shape[2:], 1)[:2]
        return height, width

    def resized(self, channels: int, size: tuple[int, int]) -> tuple[int, ...]:
        """The shape that the framework gives an image of this rank."""
        return (1, channels, *size)[: len(self.shape)]

    @property
    def channels(self) -> int | None:
        """The dimension that is our last one; None where it has size 1 and no name."""
        return self.order.index(max(self.order)) if self.flat is None else None

    @property
    def flat_order(self) -> NDArray[np.int64]:
        """Of a flattened map: which of the framework's elements each of ours is."""
        assert self.flat is not None
        numbers = np.arange(math.prod(self.flat)).reshape(self.flat)
        return numbers.transpose(1, 2, 0).reshape(-1)

    @property
    def is_linear(self) -> bool:
        """Whether its elements are in the same order to both."""
        places = [p for p, n in zip(self.order, self.shape, strict=True) if n > 1]
        return self.flat is None and places == sorted(places)

    @property
    def physical(self) -> tuple[int, ...]:
        """The shape of our tensor."""
        made = [1] * (max(self.order) + 1)
        for place, size in zip(self.order, self.shape, strict=True):
            made[place] = size
        return tuple(made)


class Views:
    """Brings values into the order that a node needs; the nodes for that go into the graph.

    Args:
        name: The model's name.
    """

    def __init__(self, name: str) -> None:
        self.builder = GraphBuilder(name)
        self._moved: dict[tuple[str, tuple[int, ...], tuple[int, ...]], str] = {}

    def linear(self, label: str, value: Value) -> Value:
        """The same value with its elements in the framework's order."""
        if value.is_linear:
            return value
        if value.flat is not None:
            shape = (1, *value.flat)
            image = self.viewed(label, value, Value("", shape, NCHW, None, value.integer))
            straight = self.ordered(label, image, tuple(range(4)))
            order = tuple(range(len(value.shape)))
            return self.viewed(label, straight, replace(value, order=order, flat=None))
        return self.ordered(label, value, tuple(range(len(value.shape))))

    def ordered(self, label: str, value: Value, order: tuple[int, ...]) -> Value:
        """The same value with its dimensions in a given order in our tensor."""
        if value.flat is not None:
            value = self.linear(label, value)
        if value.order == order:
            return value
        known = self._moved.get((value.tensor, value.shape, order))
        if known is None:
            known = self._moved[value.tensor, value.shape, order] = self._ordered(
                label, value, order
            )
        return replace(value, order=order, tensor=known)

    def _ordered(self, label: str, value: Value, order: tuple[int, ...]) -> str:
        """The tensor that holds a value in another order; only sizes above 1 count."""
        made = replace(value, order=order)
        wide = [i for i, n in enumerate(value.shape) if n > 1]
        before = sorted(wide, key=lambda i: value.order[i])
        after = sorted(wide, key=lambda i: order[i])
        if before != after:
            straight = tuple(range(1 + len(wide)))
            sizes = (1, *(value.shape[i] for i in before))
            value = self.viewed(label, value, Value("", sizes, straight))
            turned = (0, *(1 + before.index(i) for i in after))
            sizes = tuple(sizes[axis] for axis in turned)
            name = self.builder.activation(f"{label}/transposed", sizes, "float32", None)
            self.builder.node(name, Transpose(turned), (value.tensor,), name)
            value = Value(name, sizes, straight)
        return self.viewed(label, value, made).tensor

    def viewed(self, label: str, value: Value, made: Value, name: str = "") -> Value:
        """`made`, of the elements of a value in the order in which they are."""
        if made.physical == self.builder.tensors[value.tensor].shape:
            return replace(made, tensor=value.tensor)
        name = self.builder.activation(name or f"{label}/reshaped", made.physical, "float32", None)
        self.builder.node(name, Reshape(), (value.tensor,), name)
        return replace(made, tensor=name)

    def reshaped(self, label: str, value: Value, shape: tuple[int, ...]) -> Value:
        """The same elements in the framework's order under another shape; two to four sizes."""
        if shape == value.shape:
            return value
        straight = tuple(range(len(shape)))
        seen = IMAGES.get(len(shape), straight)
        made = Value("", shape, straight, None, value.integer)
        if value.is_image and len(shape) > 2 and shape[1] == value.shape[1]:
            made = replace(made, order=seen)  # channels stay channels
        elif value.is_image and not value.is_linear and shape == (1, math.prod(value.shape)):
            height, width = value.size
            made = replace(made, flat=(value.shape[1], height, width))
        else:
            value = self.linear(label, value)
            image = replace(made, order=seen)
            made = image if image.is_linear and len(shape) == 4 else made
        return self.viewed(label, value, made, label)

    def of_rank(self, label: str, value: Value, rank: int) -> Value:
        """The value with dimensions of size 1 in front."""
        if len(value.shape) == rank:
            return value
        value = self.linear(label, value)
        shape = (1,) * (rank - len(value.shape)) + value.shape
        return self.viewed(label, value, Value("", shape, tuple(range(rank))))

    def alike(self, label: str, value: Value, other: Value, target: Shape) -> tuple[Value, Value]:
        """Two values that are broadcast to one shape, in one order."""
        if value.shape == other.shape and value.flat == other.flat is not None:
            return value, other
        value, other = (self.of_rank(label, v, len(target)) for v in (value, other))
        if value.shape != target and other.shape == target:
            value = self.ordered(label, value, other.order)
        return value, self.ordered(label, other, value.order)


def arranged(data: NDArray[Any], value: Value, target: Shape) -> NDArray[Any]:
    """A constant that is broadcast with a value, in our order: a number, a pixel or a whole map.

    Args:
        data: As the framework has it.
        value: Of the rank of `target`, and not flattened unless the constant is one number.
        target: What both are broadcast to.
    """
    if data.size == 1:
        return data.reshape(1)
    data = data.reshape((1,) * (len(target) - data.ndim) + data.shape)
    physical, whole = (replace(value, shape=s).physical for s in (data.shape, target))
    data = data.transpose(np.argsort(value.order)).reshape(physical)
    is_pixel = data.shape[-1] == data.size == whole[-1]
    return data if is_pixel else np.broadcast_to(data, whole)


def broadcast(*shapes: Shape) -> Shape | None:
    """What shapes are broadcast to, up to four sizes and a batch of 1; None where they are not."""
    try:
        made = np.broadcast_shapes(*shapes)
    except ValueError:
        return None
    return made if len(made) <= 4 and made[:1] == (1,) else None
