"""What the operators of the reference executor share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fedtiny.compiler import quantization as q
from fedtiny.compiler.ir import Activation, Graph, Node, Padding

Array = NDArray[Any]
Run = Callable[[Graph, Node, Array, Mapping[str, Array]], Array]
"""Of the graph, the node, its first input and every value so far."""


def output_size(size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int) -> int:
    """Rows (or columns) that a window makes.

    Args:
        size: Input rows.
        kernel: Rows of the window.
        stride: Rows from one window to the next.
        pads: Rows of padding before and after.
        dilation: Rows from one tap to the next.
    """
    return (size + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1


def windows(
    x: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int] = (1, 1),
    fill: float = 0,
) -> Array:
    """A view `(N, oh, ow, C, kh, kw)` of the padded input's windows."""
    padded = x
    if padding != ((0, 0), (0, 0)):
        padded = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view: Array = sliding_window_view(padded, spans, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def activate(x: Array, activation: Activation) -> Array:
    """Apply a fused activation to float32 values."""
    if activation == "none":
        return x
    return np.clip(x, np.float32(0), np.float32(6) if activation == "relu6" else None)


def saturate(graph: Graph, node: Node, x: Array) -> Array:
    """Clamp integers to the node's output limits: int8."""
    low, high = q.clamp_limits(node, graph)
    return np.clip(x, low, high).astype(np.int8)


def operand(graph: Graph, values: Mapping[str, Array], name: str) -> Array:
    """An input's value, with a batch dimension: an activation or a constant."""
    return values[name] if name in values else graph[name].value
