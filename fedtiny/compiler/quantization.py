"""The constants of TensorFlow Lite's int8 arithmetic: one definition for reference, C and tests.

Source: the TensorFlow Lite int8 quantization specification; LiteRT's reference kernels
(`BUILTIN_REF`) are the oracle that `tests/unit/test_exporter_tflite.py` compares against.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Activation, Graph, GraphError, Node, Quantization, Tensor

INT8_MIN, INT8_MAX = -128, 127
ADD_LEFT_SHIFT = 20
BIAS_LIMIT = 1 << 30
"""Greatest magnitude of a bias that we make; leaves room for the sum of products in int32."""


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Write a real factor as `multiplier * 2**(shift - 31)`.

    Args:
        real: Not negative; finite.

    Returns:
        The int32 multiplier in [2^30, 2^31) (0 for 0) and the shift, positive to the left.

    Source: TensorFlow Lite, `QuantizeMultiplier`.
    """
    if not (math.isfinite(real) and real >= 0):
        raise GraphError(f"multiplier: {real} is not a finite number of at least 0")
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return (1 << 31) - 1, 30
    return multiplier, shift


def multiply_by_quantized_multiplier(
    x: NDArray[np.int64],
    multiplier: NDArray[np.int32] | int,
    shift: NDArray[np.int8] | int,
) -> NDArray[np.int64]:
    """Scale int32 values as TensorFlow Lite's MBQM does: two roundings.

    Args:
        x: int32 values held as int64, any shape.
        multiplier: As from `quantize_multiplier`; broadcast against `x`.
        shift: As from `quantize_multiplier`; broadcast against `x`.

    Returns:
        int32 values held as int64, of the broadcast shape.

    Source: gemmlowp, `SaturatingRoundingDoublingHighMul` and `RoundingDivideByPOT`.
    """
    left = np.maximum(np.asarray(shift, np.int64), 0)
    right = np.maximum(-np.asarray(shift, np.int64), 0)
    # Both roundings without a division: gemmlowp's truncating one equals this floor, and its
    # comparison with the remainder equals adding one half, less one for negative values.
    y: NDArray[np.int64] = (np.asarray(x, np.int64) << left) * np.asarray(multiplier, np.int64)
    y += 1 << 30
    y >>= 31
    y += (y >> 63) * (right > 0) + ((np.int64(1) << right) >> 1)
    y >>= right
    return y


def round_half_away(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to the nearest integer, halves away from zero: C's `round`."""
    magnitude = np.abs(x)
    whole = np.floor(magnitude)
    rounded: NDArray[np.float64] = np.copysign(whole + (magnitude - whole >= 0.5), x)
    return rounded


def per_tensor(scale: float | np.float32, zero_point: int) -> Quantization:
    """Make a per-tensor quantization from plain numbers."""
    return Quantization(np.array(scale, np.float32), np.array(zero_point, np.int32))


def activation_quantization(low: float, high: float) -> Quantization:
    """Make the int8 quantization of an activation from its range.

    The range is widened to contain 0, which must be exact because padding is 0; a range without
    extent gets scale 1, so that a tensor that is always 0 stays 0.

    Args:
        low: Least value seen.
        high: Greatest value seen.

    Raises:
        GraphError: A bound is not finite, or `low > high`.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise GraphError(f"range ({low}, {high}): both bounds must be finite and in order")
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / (INT8_MAX - INT8_MIN))
    if scale < np.finfo(np.float32).tiny:
        return per_tensor(1.0, 0)
    zero_point = INT8_MIN + math.floor(-low / float(scale) + 0.5)
    return per_tensor(scale, min(max(zero_point, INT8_MIN), INT8_MAX))


def quantize_values(x: NDArray[np.floating], quantization: Quantization) -> NDArray[np.int8]:
    """Quantize real values to int8: round half away from zero, add the zero point, saturate.

    Args:
        x: Any shape; for a per-channel quantization `x.shape[axis]` is the number of channels.
        quantization: Per tensor or per channel.
    """
    scale, zero_point = _aligned(quantization, x.ndim)
    q = round_half_away(x.astype(np.float64) / scale) + zero_point
    return np.clip(q, INT8_MIN, INT8_MAX).astype(np.int8)


def dequantize_values(q: NDArray[np.generic], quantization: Quantization) -> NDArray[np.float32]:
    """The real values that integers stand for.

    Args:
        q: Integers of any shape; see `quantize_values`.
        quantization: Per tensor or per channel.
    """
    scale, zero_point = _aligned(quantization, q.ndim)
    return ((q.astype(np.float64) - zero_point) * scale).astype(np.float32)


def shifted_bias(bias: Tensor, added: NDArray[np.float64]) -> NDArray[np.int32]:
    """A layer's int32 bias without an error that its outputs have.

    Args:
        bias: `(O,)`, quantized.
        added: The error by output, as real numbers `(O,)`.
    """
    assert bias.quantization is not None
    steps = round_half_away(added / bias.quantization.scale.astype(np.float64))
    whole = bias.value.astype(np.float64) - steps
    limit = max(BIAS_LIMIT, int(np.abs(bias.value.astype(np.int64)).max()))
    return np.clip(whole, -limit, limit).astype(np.int32)


def _aligned(
    quantization: Quantization, ndim: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shape = [1] * ndim
    if quantization.axis is not None:
        shape[quantization.axis] = -1
    scale = quantization.scale.astype(np.float64)
    zero_point = quantization.zero_point.astype(np.float64)
    return scale.reshape(shape), zero_point.reshape(shape)


def quantization_of(graph: Graph, tensor: str) -> Quantization:
    """A tensor's quantization; a defect of ours when it has none."""
    found = graph[tensor].quantization
    if found is None:
        raise GraphError(f"tensor {tensor!r} has no quantization")
    return found


def scale_of(graph: Graph, tensor: str) -> float:
    """A per-tensor quantized tensor's scale, exactly as its float32."""
    return float(quantization_of(graph, tensor).scale)


def zero_point_of(graph: Graph, tensor: str) -> int:
    """A per-tensor quantized tensor's zero point."""
    return int(quantization_of(graph, tensor).zero_point)


def constant_value(graph: Graph, tensor: str, value: float) -> float | int:
    """What a tensor holds where it means a real number: itself, or the nearest int8.

    Args:
        graph: The graph.
        tensor: Its dtype and quantization count.
        value: Finite.
    """
    if graph[tensor].dtype != "int8":
        return float(np.float32(value))
    return int(quantize_values(np.array(value, np.float64), quantization_of(graph, tensor)))


def clamp_limits(node: Node, graph: Graph) -> tuple[int, int]:
    """The int8 limits that a node's fused activation puts on its output.

    Args:
        node: Any node; one without a fused activation gives (-128, 127).
        graph: Its graph, int8.

    Source: TensorFlow Lite, `CalculateActivationRangeQuantized`.
    """
    activation: Activation = getattr(node.attributes, "activation", "none")
    if activation == "none":
        return INT8_MIN, INT8_MAX
    scale, zero_point = scale_of(graph, node.output), zero_point_of(graph, node.output)
    low = max(INT8_MIN, zero_point)
    if activation == "relu":
        return low, INT8_MAX
    six = zero_point + math.floor(float(np.float32(6.0) / np.float32(scale)) + 0.5)
    return low, min(INT8_MAX, six)


def conv_multipliers(node: Node, graph: Graph) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """The multiplier and shift of every output channel of a conv2d or depthwise_conv2d.

    Args:
        node: Its weights are `inputs[1]`, per channel or per tensor.
        graph: Its graph, int8.

    Returns:
        Multipliers int32 `(O,)` and shifts int8 `(O,)`; see `multiply_by_quantized_multiplier`.
    """
    scale_in, scale_out = scale_of(graph, node.inputs[0]), scale_of(graph, node.output)
    channels = graph[node.output].shape[-1]
    weights = quantization_of(graph, node.inputs[1]).scale.astype(np.float64)
    pairs = [
        quantize_multiplier(scale_in * float(scale) / scale_out)
        for scale in np.broadcast_to(weights, (channels,))
    ]
    multipliers, shifts = zip(*pairs, strict=True)
    return np.array(multipliers, np.int32), np.array(shifts, np.int8)


def fully_connected_scales(node: Node, graph: Graph) -> NDArray[np.float64]:
    """The factors `s_in * s_w / s_out` of a fully connected node, in double precision.

    The output is `clamp(round(acc * factor) + zero_point)` with `round` half away from zero and
    the product rounded to double first. TensorFlow Lite Micro and CMSIS-NN use
    `multiply_by_quantized_multiplier` here and differ by 1 in about 0.15 % of outputs; LiteRT is
    the specification.

    Args:
        node: Its weights are `inputs[1]`, quantized per tensor or per output.
        graph: Its graph, int8.

    Returns:
        Shape `(outputs,)`.
    """
    scale_in, scale_out = scale_of(graph, node.inputs[0]), scale_of(graph, node.output)
    weights = graph[node.inputs[1]]
    scales = quantization_of(graph, weights.name).scale.astype(np.float64)
    factors: NDArray[np.float64] = scale_in * scales / scale_out
    return np.broadcast_to(factors, (weights.shape[0],))


@dataclass(frozen=True)
class AddParameters:
    """What the int8 sum of two tensors needs.

    `out = clamp(MBQM(MBQM((a + offset_a) << left_shift, multiplier_a, shift_a) + MBQM((b +
    offset_b) << left_shift, multiplier_b, shift_b), multiplier_out, shift_out) + offset_out)`

    Attributes:
        left_shift: 20, so that the inputs keep precision.
        offset_a: Minus the zero point of the first input.
        multiplier_a: int32.
        shift_a: Not positive.
        offset_b: Minus the zero point of the second input.
        multiplier_b: int32.
        shift_b: Not positive.
        offset_out: The zero point of the output.
        multiplier_out: int32.
        shift_out: Negative in practice.
    """

    left_shift: int
    offset_a: int
    multiplier_a: int
    shift_a: int
    offset_b: int
    multiplier_b: int
    shift_b: int
    offset_out: int
    multiplier_out: int
    shift_out: int


def add_parameters(node: Node, graph: Graph) -> AddParameters:
    """The parameters of an int8 add or sub.

    Args:
        node: An add or a sub.
        graph: Its graph, int8.

    Source: TensorFlow Lite, `AddPrepare`.
    """
    a, b = node.inputs
    scale_a, scale_b = scale_of(graph, a), scale_of(graph, b)
    twice_max = 2.0 * max(scale_a, scale_b)
    multiplier_a, shift_a = quantize_multiplier(scale_a / twice_max)
    multiplier_b, shift_b = quantize_multiplier(scale_b / twice_max)
    real_out = twice_max / ((1 << ADD_LEFT_SHIFT) * scale_of(graph, node.output))
    multiplier_out, shift_out = quantize_multiplier(real_out)
    return AddParameters(
        left_shift=ADD_LEFT_SHIFT,
        offset_a=-zero_point_of(graph, a),
        multiplier_a=multiplier_a,
        shift_a=shift_a,
        offset_b=-zero_point_of(graph, b),
        multiplier_b=multiplier_b,
        shift_b=shift_b,
        offset_out=zero_point_of(graph, node.output),
        multiplier_out=multiplier_out,
        shift_out=shift_out,
    )


def mul_multiplier(node: Node, graph: Graph) -> tuple[int, int]:
    """The multiplier and shift of an int8 product: `s_a * s_b / s_out`, in float32.

    Args:
        node: A mul.
        graph: Its graph, int8.

    Source: TensorFlow Lite, `mul.cc`, `Prepare`.
    """
    a, b = (quantization_of(graph, name).scale for name in node.inputs)
    return quantize_multiplier(float(a * b / quantization_of(graph, node.output).scale))


@dataclass(frozen=True)
class MeanParameters:
    """What the int8 mean needs: `clamp(MBQM(sum + offset_in, multiplier, shift) + offset_out)`.

    Attributes:
        offset_in: Minus the input's zero point, once for every value of the sum.
        multiplier: int32.
        shift: Positive to the left.
        offset_out: The output's zero point.
    """

    offset_in: int
    multiplier: int
    shift: int
    offset_out: int


def mean_parameters(node: Node, graph: Graph) -> MeanParameters:
    """The parameters of an int8 mean.

    Args:
        node: A mean of `(1, H, W, C)`.
        graph: Its graph, int8.

    Source: TensorFlow Lite, `reference_ops::QuantizedMeanOrSum`.
    """
    source = node.inputs[0]
    _, height, width, _ = graph[source].shape
    count = height * width
    multiplier, shift = quantize_multiplier(scale_of(graph, source) / scale_of(graph, node.output))
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return MeanParameters(
        -count * zero_point_of(graph, source),
        (multiplier << extra) // count,
        shift - extra,
        zero_point_of(graph, node.output),
    )
