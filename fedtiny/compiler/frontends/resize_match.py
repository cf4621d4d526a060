"""Finds the resizing of TensorFlow Lite that reads the same pixels as another framework's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import resizing
from fedtiny.compiler.operators import Resize, ResizeBilinear, ResizeNearest

Array = NDArray[Any]
CLOSE = 1e-4
"""Positions of two frameworks that differ by less, in pixels, are the same."""
_ROUNDS: Mapping[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}
_WAYS = ((False, True), (False, False), (True, False))
"""(align_corners, half_pixel_centers), in the order in which they are tried."""


@dataclass(frozen=True)
class Coordinates:
    """How one axis is resized, in ONNX's terms.

    Attributes:
        size: Pixels of the input.
        made: Pixels of the output.
        scale: Output pixels an input pixel.
        where: ONNX's `coordinate_transformation_mode`.
        rounding: ONNX's `nearest_mode`; empty for linear.
    """

    size: int
    made: int
    scale: float
    where: str
    rounding: str

    def positions(self) -> NDArray[np.float64] | None:
        """Where in the input every output pixel lies; None where the mode is unknown."""
        x = np.arange(self.made, dtype=np.float64)
        match self.where:
            case "half_pixel":
                return (x + 0.5) / self.scale - 0.5
            case "pytorch_half_pixel":
                return (x + 0.5) / self.scale - 0.5 if self.made > 1 else 0 * x
            case "half_pixel_symmetric":
                centre = self.size / 2
                offset = centre * (1 - self.made / (self.scale * self.size))
                return offset + (x + 0.5) / self.scale - 0.5
            case "asymmetric":
                return x / self.scale
            case "align_corners":
                return x * ((self.size - 1) / max(1, self.made - 1))
        return None

    def nearest(self) -> NDArray[np.int64] | None:
        """Which input pixel every output pixel is."""
        at = self.positions()
        if at is None or self.rounding not in _ROUNDS:
            return None
        # Positions that should be a half or a whole number are one, whatever the scale's rounding.
        fine = np.round(at * 2**12) / 2**12
        at = np.where(np.abs(fine - at) < CLOSE / 2**8, fine, at)
        chosen: Array = np.clip(_ROUNDS[self.rounding](at), 0, self.size - 1)
        return chosen.astype(np.int64)

    def linear(self) -> NDArray[np.float64] | None:
        """Where every output pixel lies between the centres of the first and the last pixel."""
        at = self.positions()
        return None if at is None else np.clip(at, 0, self.size - 1)


def match(axes: Sequence[Coordinates]) -> Resize | None:
    """The resizing that equals these of rows and columns; None where there is none."""
    for way in _WAYS:
        nearest, bilinear = ResizeNearest(*way), ResizeBilinear(*way)
        if all(_same_nearest(axis, nearest) for axis in axes):
            return nearest
        if all(_same_linear(axis, bilinear) for axis in axes):
            return bilinear
    return None


def _same_nearest(axis: Coordinates, attributes: ResizeNearest) -> bool:
    wanted = axis.nearest()
    ours = resizing.nearest(axis.size, axis.made, attributes)
    return wanted is not None and np.array_equal(wanted, ours)


def _same_linear(axis: Coordinates, attributes: ResizeBilinear) -> bool:
    wanted = None if axis.rounding else axis.linear()
    if wanted is None:
        return False
    low, high, weight = resizing.linear(axis.size, axis.made, attributes)
    ours = low + (high - low) * weight.astype(np.float64)
    return bool(np.abs(ours - wanted).max() < CLOSE)
