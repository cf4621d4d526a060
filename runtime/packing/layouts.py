"""Memory layouts of activations: how `(1, H, W, C)` becomes rows of bytes.

``hwc``: H rows of W * C elements. ``chw``: one row that holds padded channel planes, so that a tap
of a 3x3 window is a plain offset and whole vectors of pixels can be read anywhere:

    lead | plane 0 | plane 1 | ... | tail

Every image row of a plane is followed by one column of padding, every plane by one row of padding.
The column is the right neighbour of one image row and the left neighbour of the next, the row is
the lower neighbour of one plane and the upper neighbour of the next. The lead is what lies above
and left of plane 0, the tail what vectors read beyond the last plane. All of it holds the value
that means zero; the kernel that writes a tensor writes its padding too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Layout, Tensor

VECTOR = 16
"""Elements that the longest vectors hold; lead, planes and tail are multiples of it."""


@dataclass(frozen=True)
class Planes:
    """Where the channel planes of a ``chw`` tensor lie, in elements.

    Attributes:
        height: Rows of a plane.
        width: Pixels of a row.
        channels: Number of planes.
    """

    height: int
    width: int
    channels: int

    @property
    def pitch(self) -> int:
        """From image row to image row: one column of padding follows each."""
        return self.width + 1

    @property
    def plane(self) -> int:
        """From plane to plane."""
        return _rounded((self.height + 1) * self.pitch)

    @property
    def lead(self) -> int:
        """Before plane 0: what the upper left tap of its first pixel reads."""
        return _rounded(self.pitch + 1)

    @property
    def tail(self) -> int:
        """After the last plane: what vectors read beyond it."""
        return 2 * VECTOR

    @property
    def size(self) -> int:
        """Of the whole tensor."""
        return self.lead + self.channels * self.plane + self.tail


def planes(tensor: Tensor) -> Planes:
    """The planes of a ``chw`` tensor `(1, H, W, C)`."""
    _, height, width, channels = tensor.shape
    return Planes(height, width, channels)


def row_count(tensor: Tensor) -> int:
    """Rows of an activation: H of ``hwc`` `(1, H, W, C)`; anything else is one row."""
    return tensor.shape[1] if tensor.layout == "hwc" and len(tensor.shape) == 4 else 1


def row_bytes(tensor: Tensor) -> int:
    """Bytes of one row of an activation."""
    size = planes(tensor).size if tensor.layout == "chw" else tensor.size // row_count(tensor)
    return size * np.dtype(tensor.dtype).itemsize


def encode(tensor: Tensor, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Elements of an activation in the order of its layout, 1-D.

    Args:
        tensor: The activation.
        values: Of the tensor's shape and dtype.
    """
    if tensor.layout == "hwc":
        return np.ascontiguousarray(values).reshape(-1)
    p = planes(tensor)
    stored = np.full(p.size, _zero(tensor), tensor.dtype)
    _images(stored, p)[...] = values[0].transpose(2, 0, 1)
    return stored


def decode(tensor: Tensor, stored: NDArray[np.generic]) -> NDArray[np.generic]:
    """The exact inverse of `encode`: `(1, H, W, C)` again."""
    if tensor.layout == "hwc":
        return stored.reshape(tensor.shape)
    return np.ascontiguousarray(_images(stored, planes(tensor)).transpose(1, 2, 0))[None]


def relabel(graph: Graph, tensors: dict[str, Layout]) -> Graph:
    """The graph with other layouts for some tensors; nothing is converted."""
    changed = [replace(graph[name], layout=layout) for name, layout in tensors.items()]
    return graph.rewrite(graph.nodes, changed)


def _rounded(elements: int) -> int:
    return -(-elements // VECTOR) * VECTOR


def _zero(tensor: Tensor) -> int:
    return 0 if tensor.quantization is None else int(tensor.quantization.zero_point)


def _images(stored: NDArray[np.generic], p: Planes) -> NDArray[np.generic]:
    """The pixels `(C, H, W)` inside stored planes, as a view."""
    grid = stored[p.lead : p.lead + p.channels * p.plane].reshape(p.channels, p.plane)
    rows = grid[:, : p.height * p.pitch].reshape(p.channels, p.height, p.pitch)
    return rows[:, :, : p.width]
