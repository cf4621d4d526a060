"""int8 means over a window as ops of the graph, only where every possible sum gives the same value.

TensorFlow Lite's MEAN and its AVERAGE_POOL_2D round differently, and only MEAN rescales. Two
replacements exist: `AveragePool2d`, and a depthwise convolution whose weights are all 1 and whose
weight scale is `1 / n`, which subtracts the zero point and rescales as MEAN does. There are only
`255 n + 1` different sums of n int8 values, so that equality is decided by trying all of them.
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


def pool_of_sums(sums: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """TensorFlow Lite's int8 AVERAGE_POOL_2D of `count` values, from their sums."""
    means: NDArray[np.int64] = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
    return means


def depthwise_of_sums(
    sums: NDArray[np.int64], count: int, source: Quantization, target: Quantization
) -> NDArray[np.int64]:
    """What a depthwise convolution with weights 1 of scale `1 / count` makes of the sums."""
    real = float(source.scale) * float(np.float32(1 / count)) / float(target.scale)
    multiplier, shift = q.quantize_multiplier(real)
    centred = sums - count * int(source.zero_point)
    scaled = q.multiply_by_quantized_multiplier(centred, multiplier, shift)
    return np.clip(scaled + int(target.zero_point), q.INT8_MIN, q.INT8_MAX)


def pool_is_mean(count: int, source: Quantization, target: Quantization) -> bool:
    """Whether AVERAGE_POOL_2D equals MEAN for every int8 input."""
    if source.scale != target.scale or source.zero_point != target.zero_point:
        return False
    sums = _every_sum(count)
    return bool(np.all(pool_of_sums(sums, count) == mean_of_sums(sums, count, source, target)))


def depthwise_is_mean(count: int, source: Quantization, target: Quantization) -> bool:
    """Whether the depthwise convolution of ones equals MEAN for every int8 input."""
    sums = _every_sum(count)
    made = depthwise_of_sums(sums, count, source, target)
    return bool(np.all(made == mean_of_sums(sums, count, source, target)))


def _every_sum(count: int) -> NDArray[np.int64]:
    return np.arange(q.INT8_MIN * count, q.INT8_MAX * count + 1, dtype=np.int64)
