"""What the functions of `Unary` mean: in float32, and as a table of all int8 inputs.

TensorFlow Lite computes some int8 functions from tables that float32 arithmetic fills, others in
fixed point; both are functions of one int8 value, so that a table holds either exactly. Functions
that it lacks are defined as those of its first kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import quantization as q
from fedtiny.compiler.ir import Quantization
from fedtiny.compiler.operators import Function, Unary

Array = NDArray[Any]
_F = np.float32
INT8 = np.arange(-128, 128, dtype=np.int64)


def apply(x: Array, attributes: Unary) -> Array:
    """The function of float32 values, any shape."""
    made: Array = _FLOAT[attributes.function](x.astype(_F), attributes).astype(_F)
    return made


def table(attributes: Unary, source: Quantization, target: Quantization) -> NDArray[np.int8]:
    """The function of every int8 value, `(256,)`, first that of -128.

    Args:
        attributes: The function.
        source: Per-tensor quantization of the input.
        target: Per-tensor quantization of the output.
    """
    fixed = _FIXED.get(attributes.function)
    made = (fixed or _by_float)(attributes, source, target)
    return np.clip(made, q.INT8_MIN, q.INT8_MAX).astype(np.int8)


def _sigmoid(x: Array, a: Unary) -> Array:
    # The exponential is rounded from double precision: the C library's expf is within its last bit.
    with np.errstate(over="ignore"):
        exponential: Array = np.exp(-x.astype(np.float64)).astype(_F)
    made: Array = _F(1) / (_F(1) + exponential)
    return made


def _hard_sigmoid(x: Array, a: Unary) -> Array:
    made: Array = np.clip(_F(a.alpha) * x + _F(a.beta), _F(0), _F(1))
    return made


def _hard_swish(x: Array, a: Unary) -> Array:
    return x * np.clip(x + _F(3), _F(0), _F(6)) * _F(1 / 6)


_FLOAT: Mapping[Function, Callable[[Array, Unary], Array]] = {
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "identity": lambda x, a: x,
    "leaky_relu": lambda x, a: np.where(x < 0, _F(a.alpha) * x, x),
    "relu": lambda x, a: np.maximum(x, _F(0)),
    "relu6": lambda x, a: np.clip(x, _F(0), _F(6)),
    "sigmoid": _sigmoid,
    "tanh": lambda x, a: np.tanh(x.astype(np.float64)),
}
"""All functions but `table`, which has no real meaning."""


def _by_float(a: Unary, source: Quantization, target: Quantization) -> Array:
    """Source: TensorFlow Lite, `LUTPopulate`: every step in float32."""
    real = _F(source.scale) * (INT8 - int(source.zero_point)).astype(_F)
    scaled = apply(real, a) * (_F(1) / _F(target.scale))
    return q.round_half_away(scaled.astype(np.float64)).astype(np.int64) + int(target.zero_point)


def _scaled(x: Array, ratio: float, target: Quantization) -> Array:
    multiplier, shift = q.quantize_multiplier(abs(ratio))
    scaled = q.multiply_by_quantized_multiplier(x, multiplier if ratio >= 0 else -multiplier, shift)
    return scaled + int(target.zero_point)


def _requantize(a: Unary, source: Quantization, target: Quantization) -> Array:
    """Source: TensorFlow Lite, `Requantize`."""
    return _scaled(INT8 - int(source.zero_point), float(source.scale) / float(target.scale), target)


def _relu(a: Unary, source: Quantization, target: Quantization) -> Array:
    """Source: TensorFlow Lite, `QuantizedReluX`."""
    ratio = float(_F(source.scale) / _F(target.scale))
    made = _scaled(INT8 - int(source.zero_point), ratio, target)
    low = int(target.zero_point)
    if a.function == "relu":
        return np.maximum(made, low)
    six = q.round_half_away(np.asarray(_F(6) / _F(target.scale), np.float64))
    return np.clip(made, low, low + int(six))


def _leaky_relu(a: Unary, source: Quantization, target: Quantization) -> Array:
    """Source: TensorFlow Lite, `QuantizeLeakyRelu`."""
    x = INT8 - int(source.zero_point)
    slope = float(_F(source.scale) * _F(a.alpha) / _F(target.scale))
    above = _scaled(x, float(_F(source.scale) / _F(target.scale)), target)
    return np.where(x >= 0, above, _scaled(x, slope, target))


def _hard_swish_fixed(a: Unary, source: Quantization, target: Quantization) -> Array:
    """Source: TensorFlow Lite, `reference_ops::HardSwish`: 16-bit fixed point."""
    fine = _F(1 / 128) * _F(source.scale)
    out_factor, out_shift = q.quantize_multiplier(float(fine / _F(target.scale)))
    factor, shift = q.quantize_multiplier(float(fine / _F(3 / 32768)))
    x = (INT8 - int(source.zero_point)) * (1 << 7)
    gate = x
    if shift > 0:
        gate = _int16(gate << (shift - 1))
    gate = _multiply_int16(gate, _to_int16(factor))
    if shift > 0:
        gate = _int16(gate << 1)
    elif shift < 0:
        gate = _divide_by_power(gate, -shift)
    gate = (gate + (1 << 15)) >> 1  # from [-1, 1] to [0, 1]
    product = gate * _multiply_int16(x, _to_int16(out_factor))
    truncated = np.where(product >= 0, product >> 15, -(-product >> 15))
    return _divide_by_power(truncated, -out_shift) + int(target.zero_point)


def _to_int16(multiplier: int) -> int:
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1)


def _int16(x: Array) -> Array:
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def _multiply_int16(a: Array, b: int) -> Array:
    """The saturating rounding doubling high multiplication of 16 bits."""
    made: Array = (a * b + (1 << 14)) >> 15
    return _int16(made)


def _divide_by_power(x: Array, exponent: int) -> Array:
    """Divide 16-bit values by 2^exponent, halves away from zero.

    From exponent 16 on, the mask of TensorFlow Lite's 16-bit form is -1: its result is 1 or -1.
    """
    mask = (1 << exponent) - 1 if exponent < 16 else -1
    made: Array = (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))
    return made


_FIXED: Mapping[Function, Callable[[Unary, Quantization, Quantization], Array]] = {
    "hard_swish": _hard_swish_fixed,
    "identity": _requantize,
    "leaky_relu": _leaky_relu,
    "relu": _relu,
    "relu6": _relu,
    "table": lambda a, source, target: np.array(a.values, np.int64),
}
