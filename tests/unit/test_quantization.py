"""The int8 constants against their definitions, in exact integers and fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedtiny.compiler.ir import Add, Graph, GraphError, Node, Quantization, Tensor
from fedtiny.compiler.quantization import (
    activation_quantization,
    clamp_limits,
    dequantize_values,
    multiply_by_quantized_multiplier,
    per_tensor,
    quantize_multiplier,
    quantize_values,
    round_half_away,
)

pytestmark = pytest.mark.quick
reals = st.floats(1e-12, 1e6, allow_nan=False)


def gemmlowp(x: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier, word for word, in Python's integers."""
    product = (x << max(shift, 0)) * multiplier
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    high = abs(product + nudge) >> 31
    high = high if product + nudge >= 0 else -high  # C's division truncates
    exponent = max(-shift, 0)
    mask = (1 << exponent) - 1
    return (high >> exponent) + ((high & mask) > (mask >> 1) + (high < 0))


@given(real=reals)
def test_multiplier_is_the_nearest_31_bit_fraction(real):
    multiplier, shift = quantize_multiplier(real)
    if (multiplier, shift) == (0, 0):
        assert real < 2.0**-31
        return
    assert 1 << 30 <= multiplier < 1 << 31
    error = abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) - Fraction(real))
    assert error <= Fraction(2) ** (shift - 32)


@pytest.mark.parametrize(
    ("real", "expected"),
    [(0.0, (0, 0)), (1.0, (1 << 30, 1)), (0.5, (1 << 30, 0)), (1 - 2.0**-40, (1 << 30, 1))],
)
def test_multiplier_at_its_edges(real, expected):
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [-1.0, math.inf, math.nan])
def test_multiplier_refuses_what_is_no_factor(real):
    with pytest.raises(GraphError, match="not a finite number"):
        quantize_multiplier(real)


@given(
    x=st.lists(st.integers(-(1 << 27), 1 << 27), min_size=1, max_size=20),
    multiplier=st.one_of(st.just(1 << 30), st.just(3 << 29), st.integers(1 << 30, (1 << 31) - 1)),
    shift=st.integers(-31, 3),
)
def test_scaling_equals_gemmlowp(x, multiplier, shift):
    ours = multiply_by_quantized_multiplier(np.array(x), multiplier, shift)
    assert ours.tolist() == [gemmlowp(value, multiplier, shift) for value in x]


def test_scaling_equals_gemmlowp_at_ties():
    x = np.arange(-64, 65)
    for shift in (-3, -2, -1, 0, 1):
        for multiplier in (1 << 30, 3 << 29):
            ours = multiply_by_quantized_multiplier(x, multiplier, shift)
            assert ours.tolist() == [gemmlowp(int(v), multiplier, shift) for v in x]


def test_scaling_is_per_channel():
    multipliers = np.array([1 << 30, 3 << 29], np.int32)
    shifts = np.array([0, -2], np.int8)
    x = np.array([[100, 100], [-7, -7]])
    ours = multiply_by_quantized_multiplier(x, multipliers, shifts)
    pairs = list(zip(multipliers.tolist(), shifts.tolist(), strict=True))
    assert ours.tolist() == [
        [gemmlowp(int(v), *p) for v, p in zip(r, pairs, strict=True)] for r in x
    ]


def test_rounding_is_half_away_from_zero():
    x = np.array([0.5, 1.5, -0.5, -1.5, 0.49999999999999994, -2.4])
    assert round_half_away(x).tolist() == [1, 2, -1, -2, 0, -2]


@given(low=st.floats(-1e6, 1e6), high=st.floats(-1e6, 1e6))
def test_zero_is_exact_and_the_range_is_covered(low, high):
    low, high = min(low, high), max(low, high)
    made = activation_quantization(low, high)
    assert -128 <= int(made.zero_point) <= 127
    assert dequantize_values(np.array(made.zero_point), made) == 0
    x = np.array([low, 0.0, high], np.float32)
    back = dequantize_values(quantize_values(x, made), made)
    assert np.all(np.abs(back - x) <= 0.5001 * made.scale + 1e-30) or high - low < 1e-30


def test_a_range_without_extent_has_a_scale():
    made = activation_quantization(0.0, 0.0)
    assert (float(made.scale), int(made.zero_point)) == (1.0, 0)


@pytest.mark.parametrize("pair", [(math.nan, 1.0), (0.0, math.inf), (1.0, 0.0)])
def test_a_damaged_range_is_refused(pair):
    with pytest.raises(GraphError, match="finite and in order"):
        activation_quantization(*pair)


def test_values_are_quantized_per_channel():
    quantization = Quantization(np.array([0.5, 2.0]), np.zeros(2), axis=0)
    q = quantize_values(np.array([[1.0, -0.25], [1.0, 300.0]]), quantization)
    assert q.tolist() == [[2, -1], [1, 127]]


@pytest.mark.parametrize(
    ("activation", "scale", "zero", "expected"),
    [
        ("none", 0.1, 5, (-128, 127)),
        ("relu", 0.1, -128, (-128, 127)),
        ("relu", 0.1, 5, (5, 127)),
        ("relu6", 0.1, -28, (-28, 32)),
        ("relu6", 0.01, 0, (0, 127)),
    ],
)
def test_activations_clamp(activation, scale, zero, expected):
    tensors = [Tensor(n, (1, 1, 1, 1), "int8", per_tensor(scale, zero)) for n in "aby"]
    node = Node("n", Add(activation), ("a", "b"), ("y",))
    graph = Graph("g", {t.name: t for t in tensors}, (node,), ("a", "b"), ("y",))
    assert clamp_limits(node, graph) == expected
