"""Which pixels a resized pixel is made of, along one axis, as TensorFlow Lite counts them.

Source: TensorFlow Lite, `GetNearestNeighbor`, `ComputeInterpolationValues` and
`ComputeInterpolationValuesInteger`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.operators import Resize

Array = NDArray[Any]
_F = np.float32
UNIT = 1 << 10
"""Weights of int8 means are in units of 1 / 1024."""


def nearest(size: int, made: int, attributes: Resize) -> NDArray[np.int64]:
    """The input pixel of every output pixel, `(made,)`.

    Args:
        size: Pixels of the input.
        made: Pixels of the output.
        attributes: How they lie on each other.
    """
    a = attributes
    position = (np.arange(made).astype(_F) + _F(0.5 * a.half_pixel_centers)) * _step(size, made, a)
    # Rounding adds a half: positions are not negative.
    chosen = np.floor(position.astype(np.float64) + 0.5 * a.align_corners).astype(np.int64)
    return np.minimum(chosen, size - 1)


def linear(size: int, made: int, attributes: Resize) -> tuple[Array, Array, NDArray[np.float32]]:
    """Two input pixels of every output pixel, and the float weight of the second, `(made,)` each.

    Args:
        size: Pixels of the input.
        made: Pixels of the output.
        attributes: How they lie on each other.
    """
    step = _step(size, made, attributes)
    position = np.arange(made).astype(_F) * step
    if attributes.half_pixel_centers:
        position = (np.arange(made).astype(_F) + _F(0.5)) * step - _F(0.5)
    low = np.clip(np.floor(position), 0, size - 1).astype(np.int64)
    high = np.minimum(np.ceil(position).astype(np.int64), size - 1)
    return low, np.maximum(high, low), (position - low.astype(_F)).astype(_F)


def linear_int8(size: int, made: int, attributes: Resize) -> tuple[Array, Array, Array]:
    """The same in fixed point: weights in units of 1 / `UNIT`."""
    a = attributes
    step = (UNIT * size + made // 2) // made
    if a.align_corners and made > 1:
        step = (UNIT * (size - 1) + (made - 1) // 2) // (made - 1)
    position = np.arange(made, dtype=np.int64) * step
    if a.half_pixel_centers:
        position += step // 2 - UNIT // 2
    low = np.clip(position // UNIT, 0, size - 1)
    high = np.clip((position + UNIT - 1) // UNIT, low, size - 1)
    return low, high, position - low * UNIT


def _step(size: int, made: int, attributes: Resize) -> np.float32:
    """Input pixels from one output pixel to the next."""
    if attributes.align_corners and made > 1:
        return _F(size - 1) / _F(made - 1)
    return _F(size) / _F(made)
