"""TensorFlow Lite's int8 softmax: gemmlowp fixed point, exact to the last bit.

Source: TensorFlow Lite, `reference_ops::Softmax`; gemmlowp, fixedpoint.h. Raw values are int32 held
as int64; "Qm.n" has m integer and n fractional bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import quantization as q

Raw = NDArray[np.int64]

INPUT_INTEGER_BITS = 5
"""Differences to the greatest input are Q5.26."""
SUM_INTEGER_BITS = 12
"""The sum of exponentials is Q12.19."""
_ONE = (1 << 31) - 1
_EXP_MINUS_POWERS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""exp(-2^k) in Q0.31."""


@dataclass(frozen=True)
class SoftmaxParameters:
    """What the int8 softmax needs.

    Attributes:
        multiplier: int32; scales a difference of inputs to Q5.26.
        shift: To the left, not negative.
        diff_min: Smaller differences contribute nothing.
    """

    multiplier: int
    shift: int
    diff_min: int


def softmax_parameters(beta: float, scale: float) -> SoftmaxParameters:
    """The parameters of an int8 softmax.

    Args:
        beta: The factor of its input.
        scale: The input's scale.

    Source: TensorFlow Lite, `PreprocessSoftmaxScaling` and `CalculateInputRadius`.
    """
    real = min(beta * scale * (1 << (31 - INPUT_INTEGER_BITS)), float(_ONE))
    multiplier, shift = q.quantize_multiplier(real)
    radius = ((1 << INPUT_INTEGER_BITS) - 1) * (1 << (31 - INPUT_INTEGER_BITS)) / 2.0**shift
    return SoftmaxParameters(multiplier, shift, -math.floor(radius))


def softmax_int8(x: NDArray[np.int8], parameters: SoftmaxParameters) -> NDArray[np.int8]:
    """Softmax over the last axis; the output has scale 1/256 and zero point -128.

    Args:
        x: `(..., classes)`.
        parameters: From `softmax_parameters`.
    """
    wide = x.astype(np.int64)
    difference = wide - wide.max(axis=-1, keepdims=True)
    counted = difference >= parameters.diff_min
    kept = np.where(counted, difference, 0)
    scaled = q.multiply_by_quantized_multiplier(kept, parameters.multiplier, parameters.shift)
    exponential = _exp_of_negative(scaled)
    parts = np.where(counted, _divide_by_power(exponential, SUM_INTEGER_BITS), 0)
    total = parts.sum(axis=-1, keepdims=True)
    leading_zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    reciprocal = _one_over_one_plus((total << leading_zeros) - (1 << 31))
    bits_over_unit = SUM_INTEGER_BITS - leading_zeros
    out = _divide_by_power(_multiply(reciprocal, exponential), bits_over_unit + 31 - 8)
    return np.where(counted, np.clip(out - 128, -128, 127), -128).astype(np.int8)


def _multiply(a: Raw, b: Raw | int) -> Raw:
    """The saturating rounding doubling high multiplication."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    return np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))


def _divide_by_power(x: Raw, exponent: Raw | int) -> Raw:
    """Divide by 2^exponent, halves away from zero."""
    mask = (np.int64(1) << np.asarray(exponent, np.int64)) - 1
    rounded: Raw = (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))
    return rounded


def _multiply_by_power(x: Raw, exponent: int) -> Raw:
    """Multiply by 2^exponent, saturating to int32."""
    saturated: Raw = np.clip(x << exponent, -(1 << 31), _ONE)
    return saturated


def _exp_of_negative(a: Raw) -> Raw:
    """exp(a) in Q0.31 for a <= 0 in Q5.26."""
    quarter = 1 << (31 - INPUT_INTEGER_BITS - 2)
    a_mod = (a & (quarter - 1)) - quarter
    x = _multiply_by_power(a_mod, INPUT_INTEGER_BITS) + (1 << 28)  # around -1/8, in Q0.31
    x2 = _multiply(x, x)
    x3, x4 = _multiply(x2, x), _multiply(x2, x2)
    tail = _multiply(_divide_by_power(x4, 2) + x3, 715827883) + x2  # 1/3
    exp_eighth = 1895147668
    result = exp_eighth + _multiply(x + _divide_by_power(tail, 1), exp_eighth)
    remainder = a_mod - a
    for power, factor in _EXP_MINUS_POWERS:
        bit = 1 << (31 - INPUT_INTEGER_BITS + power)
        result = np.where(remainder & bit, _multiply(result, factor), result)
    return np.where(a == 0, _ONE, result)


def _one_over_one_plus(a: Raw) -> Raw:
    """1 / (1 + a) in Q0.31 for a in [0, 1) in Q0.31, by Newton's method in Q2.29."""
    half = (a + _ONE + 1) // 2
    x = 1515870810 + _multiply(half, -1010580540)  # 48/17 - 32/17 half
    for _ in range(3):
        x = x + _multiply_by_power(_multiply(x, (1 << 29) - _multiply(half, x)), 2)
    return _multiply_by_power(x, 1)
