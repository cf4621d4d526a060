"""Float convolution over nonzeros on padded channel planes, in blocks of input channels.

What a tile of pixels reads of one block fits the first-level cache. Offsets are counted in elements
from the block's first plane, so that 16 bits hold them; outputs are in the order of their nonzeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry, planes_conv
from fedtiny.runtime.packing.planes_source import Source, source

BLOCK_NONZEROS = 8
"""Of an output on average in a block, so that its sums are worth storing and loading."""

WINDOW_NONZEROS = 64
"""Of an input channel, from which on copying its plane once for every tap pays."""

TILE_PIXELS = 12 * 8
OFFSET_LIMIT = 1 << 16


def supports(node: Node, graph: Graph) -> bool:
    """What `planes_conv` supports, where 16 bits hold the offsets of a block."""
    if not planes_conv.supports(node, graph):
        return False
    w, plane = geometry.window(node, graph), _source(node, graph).plane
    return plane * (w.in_c if w.groups > 1 else 1) <= OFFSET_LIMIT


def contract(node: Node, graph: Graph) -> RowContract:
    """As `planes_conv`."""
    return planes_conv.contract(node, graph, _source(node, graph))


def pack(node: Node, graph: Graph) -> Packed:
    """Blocks; in each, outputs with the counts of their nonzeros; offsets and values."""
    found, w = _source(node, graph), geometry.window(node, graph)
    weights, offsets = planes_conv.taps(node, graph, found)
    starts = block_starts(node, graph)
    elements = offsets // 4
    order = np.argsort(elements, axis=1, kind="stable")
    elements = np.take_along_axis(elements, order, 1)
    weights = np.take_along_axis(weights, order, 1)
    channels, counts, where, values = [], [], [], []
    for first, last in zip(starts, [*starts[1:], w.in_c], strict=True):
        inside = (elements >= first * found.plane) & (elements < last * found.plane)
        mask = inside & (weights != 0)
        found_counts = mask.sum(1)
        outputs = np.argsort(found_counts, kind="stable")
        channels.append(outputs)
        counts.append(found_counts[outputs])
        where += [elements[o, mask[o]] - first * found.plane for o in outputs]
        values += [weights[o, mask[o]] for o in outputs]
    total = sum(map(len, channels))
    constants = (
        Constant(
            "starts",
            np.array(starts, np.uint32) * np.uint32(found.plane),
            f"uint32 ({len(starts)}): elements",
        ),
        Constant("channels", _joined(channels), f"uint16 ({total}): outputs", 2),
        Constant("counts", _joined(counts), f"uint16 ({total}): nonzeros of each", 2),
        Constant("offsets", _joined(where), "uint16 (nonzeros): elements", 2),
        Constant(
            "values", np.concatenate([*values, np.zeros(0, np.float32)]), "float32 (nonzeros)"
        ),
        geometry.bias_constant(node, graph),
    )
    params = planes_conv.geometry_params(node, graph, found) | geometry.clamp(node, graph)
    return Packed({**params, "blocks": len(starts)}, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights as the graph has them."""
    weights, offsets = planes_conv.taps(node, graph, _source(node, graph))
    starts, channels, counts, where, values = (packed.constants[i].array for i in range(5))
    found = np.zeros(weights.shape, weights.dtype)
    order = np.argsort(offsets, axis=1)
    elements = np.take_along_axis(offsets, order, 1) // 4
    block = np.repeat(np.arange(len(starts)), weights.shape[0])
    at = 0
    for start, output, count in zip(starts[block], channels, counts, strict=True):
        part = slice(at, at := at + int(count))
        tap = np.searchsorted(elements[output], int(start) + where[part].astype(np.int64))
        found[output, order[output, tap]] = values[part]
    return found.reshape(graph[node.inputs[1]].shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Those of `planes_conv` with tiles of 24 vectors of 16 bytes; outputs by tile and block."""
    found = planes_conv.features(node, graph, found=_source(node, graph))
    blocks = len(block_starts(node, graph))
    return {**found, "block_channels": found["tile_channels"] * blocks}


def block_starts(node: Node, graph: Graph) -> list[int]:
    """The first input channel of every block; blocks are about equal, groups are not split."""
    w, found = geometry.window(node, graph), _source(node, graph)
    nonzeros = np.count_nonzero(geometry.weights_of(node, graph)) / w.out_c
    read = planes_conv.tile_elements(w, found, TILE_PIXELS)
    wanted = min(w.in_c * read / planes_conv.CACHE_ELEMENTS, nonzeros / BLOCK_NONZEROS)
    most = max(1, OFFSET_LIMIT // found.plane)  # channels of a block
    blocks = 1 if w.groups > 1 else max(1, round(wanted), -(-w.in_c // most))
    size = -(-w.in_c // min(blocks, w.in_c))
    return list(range(0, w.in_c, min(size, most)))


def _source(node: Node, graph: Graph) -> Source:
    """For outputs of a line of the cache one part for every tap, so that no vector is split."""
    w = geometry.window(node, graph)
    nonzeros = np.count_nonzero(geometry.weights_of(node, graph))
    if (w.out_h, w.out_w) != (4, 4) or nonzeros < WINDOW_NONZEROS * w.in_c:
        return source(node, graph)
    taps = w.kernel_h * w.kernel_w
    return Source("columns", w.kernel_h, w.kernel_w, 4, 4, 16, 16 * taps, True)


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.uint16]:
    return np.concatenate([*parts, np.zeros(0, np.int64)]).astype(np.uint16)
