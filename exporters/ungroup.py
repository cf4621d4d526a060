"""Weights of a grouped layer as those of a layer that has no groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ungrouped(weights: NDArray[np.generic], groups: int) -> NDArray[np.generic]:
    """Give every output channel weights for all inputs, zero for those of other groups.

    Args:
        weights: `(out, kh, kw, in / groups)`.
        groups: How many there are.

    Returns:
        `(out, kh, kw, in)`.
    """
    out, height, width, depth = weights.shape
    data = np.zeros((out, height, width, depth * groups), weights.dtype)
    for g in range(groups):
        made = slice(g * out // groups, (g + 1) * out // groups)
        data[made, :, :, g * depth : (g + 1) * depth] = weights[made]
    return data
