"""Whether int32 holds everything that an int8 layer computes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Quantization
from fedtiny.compiler.operators import Unary

_INT32_MAX = (1 << 31) - 1


def accumulator_overflows(weights: NDArray[Any], bias: NDArray[Any], factor: float) -> bool:
    """Whether some input makes a sum, or a scaled sum, that does not fit into int32.

    Args:
        weights: int8, output channels first.
        bias: int32 `(channels,)`.
        factor: The greatest `s_in * s_w / s_out` of the channels.
    """
    wide = np.abs(weights.reshape(bias.size, -1).astype(np.int64)).sum(axis=1)
    bound = int((wide * 255 + np.abs(bias.astype(np.int64))).max(initial=0))
    return bound * max(1.0, 2 * factor) > _INT32_MAX


def greatest_ratio(attributes: Unary) -> float:
    """The greatest input scale, in output scales, for which a function's fixed point holds."""
    if attributes.function == "hard_swish":
        return 127.0
    return (1 << 14) / max(1.0, abs(attributes.alpha))


def mean_fits(count: int, source: Quantization, target: Quantization) -> bool:
    """Whether int32 holds what an int8 mean of `count` values scales."""
    return count <= 1 << 14 and 2.0**-20 < float(source.scale) / float(target.scale) < 2.0**14
