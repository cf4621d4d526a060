"""Int8 convolution with every weight on padded channel planes, by dot products of four taps.

Geometry and offsets are those of `planes_conv`; all outputs share the offsets of one of them. The
kernel interleaves the pixels of four taps in scratch, behind the phases of the stride.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import conv_multipliers, zero_point_of
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry, planes_conv, planes_conv_s8, planes_dense

TAPS, OUTPUTS, TILE_VECTORS = 4, 2, 2
"""Taps of a dot product; channels and vectors of 16 pixels that the kernel computes together."""


def supports(node: Node, graph: Graph) -> bool:
    """What both `planes_dense` and `planes_conv_s8` support."""
    return planes_dense.supports(node, graph) and planes_conv_s8.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """As `planes_conv`, with interleaved pixels in the scratch."""
    found = planes_conv.contract(node, graph)
    size = _groups(node, graph) * TILE_VECTORS * TAPS * 16
    return replace(found, scratch_bytes=_mixed_start(node, graph) + size)


def pack(node: Node, graph: Graph) -> Packed:
    """Offsets, filled up to whole groups of taps, then the weights of every channel."""
    weights, offsets = planes_conv.taps(node, graph)
    outputs, taps = weights.shape
    groups = _groups(node, graph)
    filled = _filled(weights, (-(-outputs // OUTPUTS) * OUTPUTS, groups * TAPS))
    order = filled.reshape(-1, OUTPUTS, groups, TAPS).transpose(0, 2, 1, 3).reshape(-1)
    where = np.full(groups * TAPS, offsets[0, -1], np.uint32)
    where[:taps] = offsets[0]
    bias = geometry.folded(node, graph, weights.astype(np.int64).sum(1))
    multipliers, shifts = conv_multipliers(node, graph)
    params = planes_conv.geometry_params(node, graph) | geometry.clamp(node, graph)
    params |= {
        "output_zero_point": zero_point_of(graph, node.output),
        "ties": geometry.ties(node, graph),
        "groups": groups,
        "mixed": _mixed_start(node, graph),
    }
    constants = (
        Constant("offsets", where, f"uint32 ({where.size}): bytes"),
        Constant("weights", np.ascontiguousarray(order), "int8 (out_c / 2, groups, 2, 4)", 4),
        Constant("bias", _filled(bias, (len(filled),)), f"int32 ({len(filled)}), folded"),
        Constant("multipliers", multipliers, f"int32 ({outputs})"),
        Constant("shifts", shifts, f"int8 ({outputs})", 1),
    )
    return Packed(params, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights as the graph has them."""
    shape, groups = graph[node.inputs[1]].shape, _groups(node, graph)
    blocks = packed.constants[1].array.reshape(-1, groups, OUTPUTS, TAPS).transpose(0, 2, 1, 3)
    rows = blocks.reshape(-1, groups * TAPS)
    return rows[: shape[0], : int(np.prod(shape[1:]))].reshape(shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Work by what it grows with: vectors, groups of taps, channels a tile, the output's."""
    found = planes_conv.output_features(node, graph)
    vectors = found["vectors"] / found["planes"]
    tiles, groups = -(-vectors // TILE_VECTORS), _groups(node, graph)
    return {
        "group_vectors": groups * found["vectors"],
        "mixed_vectors": groups * vectors,
        "tile_groups": groups * found["planes"] * tiles,
        "tile_channels": found["planes"] * tiles,
        **found,
    }


def _groups(node: Node, graph: Graph) -> int:
    w = geometry.window(node, graph)
    return -(-w.kernel_h * w.kernel_w * w.in_c // TAPS)


def _mixed_start(node: Node, graph: Graph) -> int:
    return -(-planes_conv.contract(node, graph).scratch_bytes // 16) * 16


def _filled(array: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The array, filled up with zeros."""
    filled = np.zeros(shape, array.dtype)
    filled[tuple(slice(0, size) for size in array.shape)] = array
    return filled
