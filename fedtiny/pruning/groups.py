"""Groups of weights that are active or pruned together.

Under ``"block1x4"`` a group is four neighbouring input channels of one output channel and one tap,
in layers whose input channels (of a convolution's group) are a multiple of four; in other layers,
and under ``"unstructured"`` everywhere, every weight is its own group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

BLOCK = 4


def size(shape: Sequence[int], pattern: str) -> int:
    """Weights of a group of a layer.

    Args:
        shape: Of the weight, `(O, I, ...)`.
        pattern: Its name.
    """
    return BLOCK if pattern == "block1x4" and len(shape) > 1 and shape[1] % BLOCK == 0 else 1


def members(values: torch.Tensor, pattern: str) -> torch.Tensor:
    """A weight-shaped array by groups, `(groups, size)`, output channels first."""
    if size(values.shape, pattern) == 1:
        return values.reshape(-1, 1)
    parts = values.reshape(values.shape[0], -1, BLOCK, *values.shape[2:])
    return parts.movedim(2, -1).reshape(-1, BLOCK)


def spread(chosen: torch.Tensor, shape: Sequence[int], pattern: str) -> torch.Tensor:
    """The weight-shaped array in which every group's members have the group's value."""
    count = size(shape, pattern)
    if count == 1:
        return chosen.reshape(tuple(shape))
    parts = chosen.reshape(shape[0], shape[1] // count, 1, *shape[2:])
    return parts.expand(-1, -1, count, *shape[2:]).reshape(tuple(shape))


def whole(count: int, shape: Sequence[int], pattern: str) -> int:
    """The most weights in whole groups that are not more than `count`."""
    return count - count % size(shape, pattern)


def nearest(
    counts: Mapping[str, int], shapes: Mapping[str, Sequence[int]], pattern: str
) -> dict[str, int]:
    """Counts of weights to the nearest whole groups, one group at least."""
    sizes = {name: size(shapes[name], pattern) for name in counts}
    return {name: max(1, round(counts[name] / sizes[name])) * sizes[name] for name in counts}
