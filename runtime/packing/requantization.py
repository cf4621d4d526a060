"""One multiplication, one addition and one shift that equal any monotone requantization.

A requantization is a step function of the accumulator with at most 255 steps. `(acc * multiplier +
rounding) >> shift` is one too, so the two are equal on every reachable accumulator exactly when
their steps lie at the same places; that is decided here, step by step, not assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import (
    conv_multipliers,
    quantize_multiplier,
    round_half_away,
    zero_point_of,
)

LEAST_SHIFT, MOST_SHIFT = 32, 56
"""Shifts that a kernel does as "high word, then shift right"."""

_ROOM = 1 << 62
_MOST_ADDEND = 1 << 16


@dataclass(frozen=True)
class Line:
    """`clamp((acc * multiplier + rounding) >> shift, low, high)`.

    Attributes:
        multiplier: Positive int32.
        rounding: int64; holds the output's zero point as well.
        shift: 32 to 56.
    """

    multiplier: int
    rounding: int
    shift: int


def round_once(scale: float, zero_point: int) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """LiteRT's fully connected requantization: `round(double(acc) * scale) + zero_point`."""

    def apply(acc: NDArray[np.int64]) -> NDArray[np.int64]:
        rounded: NDArray[np.int64] = round_half_away(acc.astype(np.float64) * scale).astype(
            np.int64
        )
        return rounded + zero_point

    return apply


@dataclass(frozen=True)
class HighLine:
    """`clamp(((acc + addend) * multiplier + rounding * 2**32) >> shift, low, high)`.

    Attributes:
        multiplier: Positive int32.
        rounding: int32; holds the output's zero point as well.
        shift: 32 to 56.
        addend: Goes into the bias.
    """

    multiplier: int
    rounding: int
    shift: int
    addend: int


def fit(
    function: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    scale: float,
    limits: tuple[int, int],
    reach: tuple[int, int],
) -> Line | None:
    """Find a line that equals `clamp(function(acc), *limits)` on every reachable accumulator.

    Args:
        function: Never decreasing.
        scale: Its approximate slope.
        limits: The clamp, inclusive.
        reach: Least and greatest reachable accumulator, inclusive.

    Returns:
        The line, or None where none with the nearest multiplier exists.
    """
    slope = _slope(scale)
    if slope is None:
        return None
    multiplier, shift = slope
    at_least, at_most = _roundings(function, slope, limits, reach)
    if at_least > at_most:
        return None
    half = 1 << (shift - 1)
    rounding = min(max(half, at_least), at_most)
    if max(abs(reach[0]), abs(reach[1])) * multiplier + abs(rounding) >= _ROOM:
        return None
    return Line(multiplier, rounding, shift)


def fit_high(
    function: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    scale: float,
    limits: tuple[int, int],
    reach: tuple[int, int],
) -> HighLine | None:
    """As `fit`, with a rounding that is a multiple of 2^32: one SMMLA.

    What that lacks in choice of the rounding, a small number added to every accumulator has.
    """
    slope = _slope(scale)
    if slope is None:
        return None
    multiplier, shift = slope
    at_least, at_most = _roundings(function, slope, limits, reach)
    at_least, at_most = max(at_least, -_ROOM // 2), min(at_most, _ROOM // 2)
    addends = np.arange(_MOST_ADDEND, dtype=np.int64)
    spare = (at_most - addends * multiplier) & 0xFFFFFFFF  # from the multiple of 2^32 below it
    able = np.nonzero(spare <= at_most - at_least)[0]
    if not len(able):
        return None
    addend = int(able[0])
    rounding = (at_most - addend * multiplier) >> 32
    last = max(abs(reach[0]), abs(reach[1])) + addend
    if last >= 1 << 31 or last * multiplier + (abs(rounding) << 32) >= 2 * _ROOM:
        return None
    return HighLine(multiplier, rounding, shift, addend)


def fit_shifted(
    function: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    slope: tuple[int, int],
    left: int,
    limits: tuple[int, int],
    reach: tuple[int, int],
) -> tuple[int, int, int] | None:
    """As `fit_high`, for accumulators that hold `acc << left`, with a given slope.

    Args:
        function: Never decreasing.
        slope: Multiplier, and the shift to the right for unshifted accumulators.
        left: Of the accumulators.
        limits: The clamp, inclusive.
        reach: Least and greatest reachable `acc`, inclusive.

    Returns:
        Multiplier, rounding and addend such that the clamped
        `(((acc << left) + addend) * multiplier + rounding * 2**32) >> (slope[1] + left)` equals the
        clamped function on every reachable accumulator; None where there is none.
    """
    multiplier = slope[0]
    at_least, at_most = _roundings(function, slope, limits, reach)
    lower, upper = at_least << left, ((at_most + 1) << left) - 1
    # Roundings beyond any product change nothing; they keep the search inside 64 bits.
    lower, upper = max(lower, -_ROOM // 2), min(upper, _ROOM // 2)
    addends = np.arange(_MOST_ADDEND, dtype=np.int64)
    spare = (upper - addends * multiplier) & 0xFFFFFFFF  # from the multiple of 2^32 below it
    able = np.nonzero(spare <= upper - lower)[0]
    if not len(able):
        return None
    addend = int(able[0])
    rounding = (upper - addend * multiplier) >> 32
    last = (max(abs(reach[0]), abs(reach[1])) << left) + addend
    if last >= 1 << 31 or (last * multiplier >> 32) + abs(rounding) >= (1 << 31) - 1:
        return None
    return multiplier, rounding, addend


def _slope(scale: float) -> tuple[int, int] | None:
    """Multiplier and shift, or None where no kernel has the shift."""
    multiplier, exponent = quantize_multiplier(scale)
    shift = 31 - exponent
    if not LEAST_SHIFT <= shift <= MOST_SHIFT or multiplier == 0:
        return None
    return multiplier, shift


def _roundings(
    function: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    slope: tuple[int, int],
    limits: tuple[int, int],
    reach: tuple[int, int],
) -> tuple[int, int]:
    """The least and the greatest rounding that put every step where the function has it."""
    multiplier, shift = slope
    low, high = limits
    first, last = reach
    at_least, at_most = -_ROOM, _ROOM
    steps = np.arange(low + 1, high + 1, dtype=np.int64)
    for step, place in zip(steps.tolist(), _places(function, steps, first, last), strict=True):
        # Reached at `place`, so not before it. Python's integers do not overflow.
        if place <= last:
            at_least = max(at_least, (step << shift) - multiplier * place)
        if place > first:
            at_most = min(at_most, (step << shift) - multiplier * (place - 1) - 1)
    return at_least, at_most


def _places(
    function: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    steps: NDArray[np.int64],
    first: int,
    last: int,
) -> list[int]:
    """By step, the least accumulator in `[first, last + 1]` whose output reaches it."""
    low = np.full(steps.shape, first, np.int64)
    high = np.full(steps.shape, last + 1, np.int64)
    while np.any(low < high):
        middle = (low + high) >> 1
        reached = (function(middle) >= steps) | (middle >= high)
        high = np.where(reached, np.minimum(middle, high), high)
        low = np.where(reached, low, middle + 1)
    return [int(place) for place in low]


def reach(
    weights: NDArray[np.generic], bias: NDArray[np.generic], zero_point: int
) -> tuple[int, int]:
    """Least and greatest accumulator `bias + sum(w * (x - zero_point))` over all outputs.

    Args:
        weights: int8, `(outputs, taps)`.
        bias: int32, `(outputs,)`, not folded.
        zero_point: Of the input.
    """
    w = weights.astype(np.int64)
    positive, negative = np.maximum(w, 0).sum(1), np.minimum(w, 0).sum(1)
    lowest, highest = -128 - zero_point, 127 - zero_point
    least = bias + positive * lowest + negative * highest
    most = bias + positive * highest + negative * lowest
    return int(least.min()), int(most.max())


CONV_REACH = 1 << 30
"""Accumulators of convolutions that use `fedtiny_store_channel` stay below this."""


def conv_fits(node: Node, graph: Graph) -> bool:
    """Whether every reachable accumulator of an int8 convolution is below `CONV_REACH`."""
    outputs = graph[node.output].shape[-1]
    weights = graph[node.inputs[1]].value
    channel_last = node.op == "depthwise_conv2d"
    rows = weights.reshape(-1, outputs).T if channel_last else weights.reshape(outputs, -1)
    low, high = reach(rows, graph[node.inputs[2]].value, zero_point_of(graph, node.inputs[0]))
    return max(-low, high) < CONV_REACH


def short_scales(node: Node, graph: Graph) -> NDArray[np.int64] | None:
    """Factor and divisor of every output channel, for `fedtiny_scale_s8` (src/multiply_high.h).

    Returns:
        `(channels, 2)`, or None where some channel's scale is not below 1/4, or too small.
    """
    multipliers, shifts = (a.astype(np.int64) for a in conv_multipliers(node, graph))
    if (multipliers < 1 << 30).any() or (shifts > -2).any() or (shifts < -31).any():
        return None
    return np.stack([2 * multipliers - (1 << 32), 1 << (32 + shifts)], 1)
