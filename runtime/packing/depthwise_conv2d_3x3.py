"""Depthwise 3x3 int8 convolution, two taps per multiplication (src/depthwise_3x3.h).

Every channel becomes a record of 32 bytes. Where a line with eight fractional bits equals the
specified requantization on every reachable sum of every channel, the kernel follows the line;
weights are shifted left until eight bits are right for the channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import DepthwiseConv2d, Graph, Node
from fedtiny.compiler.quantization import (
    clamp_limits,
    conv_multipliers,
    multiply_by_quantized_multiplier,
    zero_point_of,
)
from fedtiny.runtime.contract import Constant, Overlap, Packed, RowContract
from fedtiny.runtime.packing import depthwise_conv2d, geometry, requantization

LINE, ROUND = 0, 1
FRACTION = 8
COLUMN_BYTES = 32

_RECORD = np.dtype([("weights", "<i2", 10), ("scaling", "<i4", 3)])
_PLACES = np.array([0, 2, 4, 1, 3, 5, 6, 7, 8])
"""Of the taps in order, where in a record their weights are."""

_TOTAL = 32 + FRACTION
"""Bits that a line shifts."""


def supports(node: Node, graph: Graph) -> bool:
    """Channels in fours, no dilation, little padding, and sums and scales that fit."""
    if not depthwise_conv2d.supports(node, graph) or graph[node.output].dtype != "int8":
        return False
    window = geometry.window(node, graph)
    taps = window.kernel_h, window.kernel_w, window.dilation_h, window.dilation_w
    assert isinstance(node.attributes, DepthwiseConv2d)
    (top, bottom), (left, right) = node.attributes.padding
    if taps != (3, 3, 1, 1) or window.in_c % 4 or max(top, bottom, left, right) > 2:
        return False
    _, shifts = conv_multipliers(node, graph)
    return int(shifts.max()) <= -2 and requantization.conv_fits(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step, which may replace a dying input row of the same size."""
    window = geometry.window(node, graph)
    reads, writes = window.accesses(node)
    scratch = _columns(window) * COLUMN_BYTES
    overlap: Overlap = "same_address" if window.in_w == window.out_w else "none"
    return RowContract((reads,), writes, window.out_h, scratch, overlap=overlap)


def pack(node: Node, graph: Graph) -> Packed:
    """A record for every channel."""
    window = geometry.window(node, graph)
    records = _lines(node, graph)
    form = ROUND if records is None else LINE
    if records is None:
        records = _rounds(node, graph)
    columns = _columns(window)
    params = window.params("out_w", "stride_w", "pad_left")
    params |= geometry.clamp(node, graph) | geometry.zero_points(node, graph)
    params |= {"channels": window.in_c, "columns": columns, "form": form}
    params["inner"] = min(window.in_w, columns - window.pad_left)
    comment = f"{window.in_c} channels of 32 bytes: int16 (10) weights, bias, multiplier, rounding"
    data = Constant("constants", records.view(np.int32).reshape(-1), comment)
    return Packed(params, (data,))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights, `(1, 3, 3, channels)`."""
    records = packed.constants[0].array.view(_RECORD)
    weights = records["weights"][:, _PLACES].T
    if packed.params["form"] == LINE:
        weights = weights >> _channel_shifts(node, graph)
    return weights.astype(np.int8).reshape(graph[node.inputs[1]].shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Columns spread by groups of four channels, outputs by form and loop, channels, rows.

    `columns_top` and `columns_middle` lack rows of padding: one, or two.
    """
    window = geometry.window(node, graph)
    form = _form(node, graph)
    columns, groups = _columns(window), window.in_c // 4
    inner = min(window.in_w, columns - window.pad_left)
    tops = np.arange(window.out_h)[:, None] * window.stride_h - window.pad_top + np.arange(3)
    there = ((tops >= 0) & (tops < window.in_h)).sum(1)
    spread = [int((there == count).sum()) * inner * groups for count in (3, 2, 1)]
    twos = window.out_w // 2 if window.stride_w == 1 else 0
    channels = window.out_h * window.in_c
    ones = channels * (window.out_w - 2 * twos)
    clamped = clamp_limits(node, graph) != (-128, 127)
    return {
        "columns": spread[0],
        "columns_top": spread[1],
        "columns_middle": spread[2],
        "pairs_line": channels * twos * (form == LINE),
        "pairs_round": channels * twos * (form == ROUND),
        "ones_line": ones * (form == LINE),
        "ones_round": ones * (form == ROUND),
        "row_channels": channels,
        "odd": channels * (window.stride_w == 1 and window.out_w % 2),
        "groups": window.out_h * groups,
        "padding": window.out_h * (columns - inner),
        "clamped": channels * window.out_w * clamped,
        "rows": window.out_h,
    }


def _columns(window: geometry.Window) -> int:
    return (window.out_w - 1) * window.stride_w + 3


def _form(node: Node, graph: Graph) -> int:
    return LINE if _lines(node, graph) is not None else ROUND


@dataclass(frozen=True)
class _Channels:
    """The channels of a node: weights `(channels, 9)`, bias, multipliers and shifts."""

    weights: NDArray[np.int64]
    bias: NDArray[np.int64]
    multipliers: NDArray[np.int64]
    shifts: NDArray[np.int64]

    @staticmethod
    def of(node: Node, graph: Graph) -> _Channels:
        multipliers, shifts = conv_multipliers(node, graph)
        weights = geometry.weights_of(node, graph).astype(np.int64).reshape(9, -1).T
        bias = graph[node.inputs[2]].value.astype(np.int64).reshape(-1)
        return _Channels(weights, bias, multipliers.astype(np.int64), shifts.astype(np.int64))


def _channel_shifts(node: Node, graph: Graph) -> NDArray[np.int64]:
    """By channel, how far its weights are shifted left where a line is followed."""
    _, shifts = conv_multipliers(node, graph)
    return np.maximum(_TOTAL - 31 + shifts.astype(np.int64), 0)


def _rounds(node: Node, graph: Graph) -> NDArray[np.void]:
    c = _Channels.of(node, graph)
    none = c.multipliers == 0  # a factor and a divisor of 0 give the zero point
    factor = np.where(none, 0, 2 * c.multipliers - (1 << 32))
    divisor = np.where(none | (c.shifts < -32), 0, 1 << np.maximum(32 + c.shifts, 0))
    return _records(node, graph, c, c.weights, c.bias, factor, divisor)


def _records(
    node: Node,
    graph: Graph,
    c: _Channels,
    weights: NDArray[np.int64],
    bias: NDArray[np.int64],
    multiplier: NDArray[np.int64],
    rounding: NDArray[np.int64],
) -> NDArray[np.void]:
    records: NDArray[np.void] = np.zeros(len(c.bias), _RECORD)
    records["weights"][:, _PLACES] = weights
    start = bias - zero_point_of(graph, node.inputs[0]) * weights.sum(1)
    for index, values in enumerate((start, multiplier, rounding)):
        records["scaling"][:, index] = (values + 2**31) % 2**32 - 2**31
    return records


def _lines(node: Node, graph: Graph) -> NDArray[np.void] | None:
    """Records of lines; None where some channel has none."""
    limits = clamp_limits(node, graph)
    zero_in, zero_out = (zero_point_of(graph, name) for name in (node.inputs[0], node.output))
    if limits[0] < zero_out:  # halves below zero are rounded the other way: no line
        return None
    c = _Channels.of(node, graph)
    lefts = _channel_shifts(node, graph)
    found = []
    for w, b, m, s, left in zip(c.weights, c.bias, c.multipliers, c.shifts, lefts, strict=True):
        reach = requantization.reach(w[None], b[None], zero_in)
        line = _line(int(m), int(s), int(left), zero_out, limits, reach)
        if line is None or 31 - s < 32:
            return None
        found.append(line)
    multiplier, rounding, addend = (
        np.array(column, np.int64) for column in zip(*found, strict=True)
    )
    weights, bias = c.weights << lefts[:, None], (c.bias << lefts) + addend
    return _records(node, graph, c, weights, bias, multiplier, rounding)


def _line(
    multiplier: int,
    shift: int,
    left: int,
    zero_point: int,
    limits: tuple[int, int],
    reach: tuple[int, int],
) -> tuple[int, int, int] | None:
    """Multiplier, rounding and what is added to shifted sums; None where nothing is exact."""

    def function(sums: NDArray[np.int64]) -> NDArray[np.int64]:
        scaled: NDArray[np.int64] = multiply_by_quantized_multiplier(sums, multiplier, shift)
        return scaled + zero_point

    if multiplier == 0:
        return None
    lost = max(31 - shift - _TOTAL, 0)  # scales so small that the multiplier has bits to spare
    slope = (multiplier + ((1 << lost) >> 1)) >> lost
    return requantization.fit_shifted(function, (slope, _TOTAL - left), left, limits, reach)
