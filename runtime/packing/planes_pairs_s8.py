"""Int8 convolution over pairs of nonzeros on padded channel planes, in groups of equal size.

Pixels are unsigned (plus 128) in the kernel's copy of the input, so that the sum of a group's
products fits 16 bits where its positive and its negative weights have magnitudes of at most 128 in
sum. The order of integer sums is free: an output's nonzeros are dealt to its groups like cards,
heavy ones first. Groups have as many pairs as makes a layer cheapest; what is missing has weight 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import zero_point_of
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry, planes_conv, requantization
from fedtiny.runtime.packing.layouts import planes
from fedtiny.runtime.packing.planes_conv_s8 import scaling_fits
from fedtiny.runtime.packing.planes_source import (
    COLUMN_WIDTHS,
    Source,
    columns,
    moved_rows,
    padded,
)

GROUP_SUM = 128
SEGMENT = 1 << 16
"""Bytes that an offset reaches."""

VECTOR = 32
"""Pixels."""

SLACK = 3 * VECTOR
"""Bytes that vectors read beyond what taps need."""

MOST_PAIRS = 4
PAIR_COST, GROUP_COST = 12, 19
"""Vector instructions of a pair, and of adding a group's sums to those of 32 bits."""

SAMPLE = 32
"""Outputs that the size of groups is chosen by."""

Ints = NDArray[np.int64]


def supports(node: Node, graph: Graph) -> bool:
    """What `planes_conv` supports, where accumulators stay small and are scaled down."""
    if not planes_conv.supports(node, graph) or not requantization.conv_fits(node, graph):
        return False
    return scaling_fits(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """As `planes_conv`; the scratch always holds a copy of what taps read."""
    found = _source(node, graph)
    before = planes_conv.contract(node, graph, found)
    size = max(before.scratch_bytes, _read(node, graph, found)) + SLACK
    return RowContract(before.inputs, before.output, 1, size)


def pack(node: Node, graph: Graph) -> Packed:
    """Outputs with the numbers of their groups; offsets; weights of pairs, twice."""
    found = _source(node, graph)
    stored, offsets = planes_conv.taps(node, graph, found)
    weights = stored.astype(np.int64)
    segments = int(offsets.max()) // SEGMENT + 1
    pairs = _pairs(weights)
    dealt = [
        [
            _deal(row, np.flatnonzero((row != 0) & (at // SEGMENT == s)), 2 * pairs)
            for s in range(segments)
        ]
        for row, at in zip(weights, offsets, strict=True)
    ]
    numbers = np.array([[len(part) for part in parts] for parts in dealt])
    order = np.argsort(numbers.sum(1), kind="stable")
    where, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for o in order:
        for part in dealt[o]:
            there = part >= 0
            where.append(np.where(there, offsets[o, part] % SEGMENT, 0).reshape(-1))
            values.append(np.where(there, weights[o, part], 0).reshape(-1))
    twice = np.concatenate(values).reshape(-1, 1, 2).repeat(2, 1)
    sums = weights.sum(1)
    bias = (geometry.folded(node, graph, sums).astype(np.int64) - 128 * sums + 2**31) % 2**32
    params = planes_conv.geometry_params(node, graph, found) | geometry.clamp(node, graph)
    params["output_zero_point"] = zero_point_of(graph, node.output)
    params["ties"] = geometry.ties(node, graph)
    params["read"] = _read(node, graph, found)
    params["pairs"], params["segments"] = pairs, segments
    constants = (
        Constant("outputs", order.astype(np.uint16), "uint16 (out_c): channels by their groups", 2),
        Constant("groups", numbers[order].astype(np.uint16), "uint16 (out_c, segments)", 2),
        Constant(
            "offsets", np.concatenate(where).astype(np.uint16), "uint16 (groups, pairs, 2)", 2
        ),
        Constant("weights", twice.astype(np.int8), "int8 (groups, pairs, 2, 2): pairs twice", 1),
        Constant("bias", (bias - 2**31).astype(np.int32), f"int32 ({bias.size}), folded"),
        *geometry.multiplier_constants(node, graph),
    )
    return Packed(params, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights as the graph has them."""
    weights, offsets = planes_conv.taps(node, graph, _source(node, graph))
    outputs, groups, where, twice = (packed.constants[i].array for i in range(4))
    size = 2 * int(packed.params["pairs"])
    values = twice.reshape(-1, 2, 2)[:, 0].reshape(-1)
    found = np.zeros(weights.shape, weights.dtype)
    at = 0
    for output, numbers in zip(outputs, groups, strict=True):
        tap_order = np.argsort(offsets[output])
        sorted_offsets = offsets[output][tap_order]
        for segment, number in enumerate(numbers):
            part = slice(at, at := at + int(number) * size)
            there = values[part] != 0
            place = where[part][there].astype(np.int64) + segment * SEGMENT
            found[output, tap_order[np.searchsorted(sorted_offsets, place)]] = values[part][there]
    shape = graph[node.inputs[1]].shape
    return found.T.reshape(shape) if node.op == "depthwise_conv2d" else found.reshape(shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Pairs and groups by vectors of 32 pixels, the output's work, what is copied."""
    found = _source(node, graph)
    weights = planes_conv.taps(node, graph, found)[0].astype(np.int64)
    pairs = _pairs(weights)
    groups = int(_least_groups(weights, 2 * pairs).sum())
    w = geometry.window(node, graph)
    vectors = -(-planes_conv.output_features(node, graph, found)["vectors"] // (2 * w.out_c))
    tiles = -(-vectors // 2)
    return {
        "pair_vectors": groups * pairs * vectors,
        "group_vectors": groups * vectors,
        "tile_groups": groups * tiles,
        "tile_channels": w.out_c * tiles,
        "copied": _read(node, graph, found) / VECTOR,
        **planes_conv.output_features(node, graph, found),
    }


def _source(node: Node, graph: Graph) -> Source:
    """Columns where they save vectors of more worth than what they move."""
    w = geometry.window(node, graph)
    nonzeros = np.count_nonzero(geometry.weights_of(node, graph))
    wide, narrow = (-(-w.out_h * width // VECTOR) for width in (w.out_w + 1, w.out_w))
    saved = nonzeros * (wide - narrow)
    if w.out_w in COLUMN_WIDTHS and saved > moved_rows(w):
        return columns(w)
    return padded(node, graph)


def _read(node: Node, graph: Graph, found: Source) -> int:
    """Bytes of the copy: the whole input, or its parts."""
    if found.mode == "direct":
        return planes(graph[node.inputs[0]]).size
    return -(-geometry.window(node, graph).in_c * found.plane // 16) * 16


def _pairs(weights: Ints) -> int:
    """Pairs in a group, so that the layer is cheapest, about."""
    some = weights[:: max(1, len(weights) // SAMPLE)]
    costs = {
        pairs: sum(len(_deal(row, np.flatnonzero(row), 2 * pairs)) for row in some)
        * (PAIR_COST * pairs + GROUP_COST)
        for pairs in range(1, MOST_PAIRS + 1)
    }
    return min(costs, key=lambda pairs: costs[pairs])


def _least_groups(weights: Ints, size: int) -> Ints:
    """Groups of every output at least, by their numbers of nonzeros and by their sums."""
    count = np.count_nonzero(weights, axis=1)
    sums = np.maximum(np.maximum(weights, 0).sum(1), -np.minimum(weights, 0).sum(1))
    least: Ints = np.maximum(-(-count // size), -(-sums // GROUP_SUM))
    return least


def _deal(row: Ints, taps: Ints, size: int) -> Ints:
    """Taps by group, `(groups, size)`, -1 where there is none.

    Half of a group is for positive weights and half for negative ones.

    Args:
        row: Weights.
        taps: Those to deal.
        size: Nonzeros of a group.
    """
    halves = []
    for sign in (1, -1):
        some = taps[row[taps] * sign > 0]
        some = some[np.argsort(-np.abs(row[some]), kind="stable")]
        halves.append(_fill(np.abs(row[some]).tolist(), some.tolist(), size // 2))
    groups: Ints = np.full((max(map(len, halves)), size), -1)
    for half, first in zip(halves, (0, size // 2), strict=True):
        groups[: len(half), first : first + size // 2] = np.array(half).reshape(-1, size // 2)
    return groups


def _fill(sizes: list[int], taps: list[int], most: int) -> list[list[int]]:
    """Taps of one sign in bins of GROUP_SUM: the heaviest one and the lightest that still fit.

    Args:
        sizes: Magnitudes, falling.
        taps: Their taps.
        most: Taps of a bin; bins are filled up with -1.
    """
    bins, heavy, light = [], 0, len(taps) - 1
    while heavy <= light:
        found, room = [taps[heavy]], GROUP_SUM - sizes[heavy]
        heavy += 1
        while heavy <= light and len(found) < most and sizes[light] <= room:
            found.append(taps[light])
            room -= sizes[light]
            light -= 1
        bins.append(found + [-1] * (most - len(found)))
    return bins
