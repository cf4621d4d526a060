"""Networks of other widths."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from fedtiny.errors import UsageError
from fedtiny.models.create import create


def channels(count: int, width: float) -> int:
    """A layer's channels at a width, rounded down, one at least."""
    return max(1, math.floor(count * width))


def narrowed(name: str, input_shape: Sequence[int], classes: int, parameters: int) -> str:
    """The widest network of a kind that has at most so many parameters, as ``"name@width"``.

    Args:
        name: Of a network that takes a keyword `width`.
        input_shape: `(C, H, W)`.
        classes: Number of outputs.
        parameters: The most.

    Raises:
        UsageError: Even one channel a layer has more, or the network has no widths.
    """
    low, high = 0, 256  # widths in 256ths
    while high - low > 1:
        middle = (low + high) // 2
        if _size(create(f"{name}@{middle / 256:g}", input_shape, classes)) <= parameters:
            low = middle
        else:
            high = middle
    if not low:
        raise UsageError(
            f"model {name!r} cannot be narrowed to {parameters} parameters: that is fewer than it "
            "has with one channel a layer."
        )
    return f"{name}@{low / 256:g}"


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
