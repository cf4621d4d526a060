"""Shapes and windows as ONNX writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedtiny.compiler.ir import Padding

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def window(kernel: Sequence[int], stride: tuple[int, int], padding: Padding) -> dict[str, Any]:
    """The attributes of an operator that slides a window."""
    (top, bottom), (left, right) = padding
    pads = [top, left, bottom, right]
    return {"kernel_shape": list(kernel), "strides": list(stride), "pads": pads}


def nchw(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a tensor of ours in ONNX."""
    return tuple(shape[axis] for axis in TO_NCHW) if len(shape) == 4 else shape


def has_pixels(shape: tuple[int, ...]) -> bool:
    """Whether the element order depends on where the channels are."""
    return len(shape) == 4 and shape[1:3] != (1, 1)
