"""int8 means over a window as a depthwise convolution, only where every sum gives the same value.

TensorFlow Lite's MEAN rounds unlike its AVERAGE_POOL_2D (already for 2x2 windows), and rescales. A
depthwise convolution whose weights are all 1 and whose weight scale is `1 / n` subtracts the zero
point and rescales much as MEAN does. There are only `255 n + 1` different sums of n int8 values, so
that equality is decided by trying all of them: it holds for all windows of 2^k elements and for
some others, not for 7x7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import quantization as q
from fedtiny.compiler.ir import Quantization

MAX_WINDOW = 1 << 14
"""Largest window that is tried, in elements."""


def mean_of_sums(
    sums: NDArray[np.int64], count: int, source: Quantization, target: Quantization
) -> NDArray[np.int64]:
    """TensorFlow Lite's int8 MEAN of `count` values, from their sums.

    Args:
        sums: Sums of the int8 values, zero point included.
        count: Values in each sum.
        source: Per-tensor quantization of the values.
        target: Per-tensor quantization of the mean.

    Source: TensorFlow Lite, `reference_ops::QuantizedMeanOrSum`.
    """
    multiplier, shift = q.quantize_multiplier(float(source.scale) / float(target.scale))
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    centred = sums - count * int(source.zero_point)
    scaled = q.multiply_by_quantized_multiplier(
        centred, (multiplier << extra) // count, shift - extra
    )
    return np.clip(scaled + int(target.zero_point), q.INT8_MIN, q.INT8_MAX)


def depthwise_of_sums(
    sums: NDArray[np.int64], count: int, source: Quantization, target: Quantization
) -> NDArray[np.int64]:
    """What a depthwise convolution with weights 1 of scale `1 / count` makes of the sums."""
    real = float(source.scale) * float(np.float32(1 / count)) / float(target.scale)
    multiplier, shift = q.quantize_multiplier(real)
    centred = sums - count * int(source.zero_point)
    scaled = q.multiply_by_quantized_multiplier(centred, multiplier, shift)
    return np.clip(scaled + int(target.zero_point), q.INT8_MIN, q.INT8_MAX)


def depthwise_is_mean(count: int, source: Quantization, target: Quantization) -> bool:
    """Whether the depthwise convolution of ones equals MEAN for every int8 input."""
    sums = _every_sum(count)
    made = depthwise_of_sums(sums, count, source, target)
    return bool(np.all(made == mean_of_sums(sums, count, source, target)))


def _every_sum(count: int) -> NDArray[np.int64]:
    return np.arange(q.INT8_MIN * count, q.INT8_MAX * count + 1, dtype=np.int64)
