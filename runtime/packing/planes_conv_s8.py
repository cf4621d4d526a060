"""Int8 convolution over nonzeros on padded channel planes, in groups whose products fit 16 bits.

The weights of a group have magnitudes of at most 255 in sum: 255 * 128 < 2^15. The order of integer
sums is free, so groups are filled like bins, heavy weights first. Geometry and offsets are those of
`planes_conv`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import conv_multipliers, zero_point_of
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry, planes_conv, requantization

GROUP_SUM = 255
GROUP_SIZE = 255
TILE_VECTORS = 4
"""Of 16 pixels that a tile holds."""


def supports(node: Node, graph: Graph) -> bool:
    """What `planes_conv` supports, where accumulators stay small and are scaled down."""
    if not planes_conv.supports(node, graph) or not requantization.conv_fits(node, graph):
        return False
    if geometry.weights_of(node, graph).min() < -127:  # the products of any two must fit 16 bits
        return False
    return scaling_fits(node, graph)


def scaling_fits(node: Node, graph: Graph) -> bool:
    """Whether vectors can scale the accumulators: shifts to the right, below 0 where ties show."""
    _, shifts = conv_multipliers(node, graph)
    return int(shifts.max()) <= (-1 if geometry.ties(node, graph) else 0)


def contract(node: Node, graph: Graph) -> RowContract:
    """As `planes_conv`."""
    return planes_conv.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Groups of every output, sizes of groups, then offsets and weights."""
    weights, offsets = planes_conv.taps(node, graph)
    groups, sizes, where, values = [], [], [], []
    for row, places in zip(weights.astype(np.int64), offsets, strict=True):
        bins = _bins(row)
        groups.append(len(bins))
        sizes += [len(one) - 1 for one in bins]
        order = [tap for one in bins for tap in one]
        where += places[order].tolist()
        values += row[order].tolist()
    counts = np.count_nonzero(weights, axis=1).astype(np.uint16)
    sums = weights.astype(np.int64).sum(1)
    params = planes_conv.geometry_params(node, graph) | geometry.clamp(node, graph)
    params["output_zero_point"] = zero_point_of(graph, node.output)
    params["ties"] = geometry.ties(node, graph)
    bias = geometry.folded(node, graph, sums)
    constants = (
        Constant("groups", np.array(groups, np.uint16), "uint16 (out_c): groups of nonzeros", 2),
        Constant("counts", counts, "uint16 (out_c): nonzeros", 2),
        Constant(
            "sizes", np.array(sizes, np.uint8), "uint8 (groups): nonzeros of each group, less 1", 1
        ),
        Constant("offsets", np.array(where, np.uint32), "uint32 (nonzeros): bytes"),
        Constant("weights", np.array(values, np.int8), "int8 (nonzeros)", 1),
        Constant("bias", bias, f"int32 ({bias.size}), folded"),
        *geometry.multiplier_constants(node, graph),
    )
    return Packed(params, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights as the graph has them."""
    weights, _ = planes_conv.taps(node, graph)
    counts, _, where, values = (packed.constants[i].array for i in range(1, 5))
    return planes_conv.scatter(counts.tolist(), where, values, node, graph).astype(weights.dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Those of `planes_conv`, and groups by vector and by tile."""
    found = planes_conv.features(node, graph, TILE_VECTORS)
    weights, _ = planes_conv.taps(node, graph)
    groups = sum(len(_bins(row)) for row in weights.astype(np.int64))
    vectors = found["vectors"] / found["planes"]
    tiles = found["tile_channels"] / found["planes"]
    return {**found, "group_vectors": groups * vectors, "tile_groups": groups * tiles}


def _bins(row: NDArray[np.int64]) -> list[list[int]]:
    """Taps with nonzero weights in groups, first fit, in falling order of magnitude."""
    taps = np.flatnonzero(row)
    taps = taps[np.argsort(-np.abs(row[taps]), kind="stable")]
    bins: list[list[int]] = []
    room: list[int] = []
    for tap, size in zip(taps.tolist(), np.abs(row[taps]).tolist(), strict=True):
        for index, free in enumerate(room):
            if size <= free and len(bins[index]) < GROUP_SIZE:
                break
        else:
            index = len(bins)
            bins.append([])
            room.append(GROUP_SUM)
        bins[index].append(tap)
        room[index] -= size
    return bins
