"""Convolution with every weight on padded channel planes: blocks of four output channels.

Geometry and offsets are those of `planes_conv`; all outputs share the offsets of one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Conv2d, Graph, Node
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry, planes_conv

OUTPUTS = 4
"""Channels of a block."""

TILE_VECTORS = planes_conv.TILE_VECTORS // OUTPUTS


def supports(node: Node, graph: Graph) -> bool:
    """What `planes_conv` supports, without groups."""
    attributes = node.attributes
    whole = isinstance(attributes, Conv2d) and attributes.groups == 1
    return whole and planes_conv.supports(node, graph)


def contract(node: Node, graph: Graph) -> RowContract:
    """As `planes_conv`."""
    return planes_conv.contract(node, graph)


def pack(node: Node, graph: Graph) -> Packed:
    """Offsets, then the weights of every tap for four channels; channels are filled up by zeros."""
    weights, offsets = planes_conv.taps(node, graph)
    outputs, taps = weights.shape
    filled = np.zeros((-(-outputs // OUTPUTS) * OUTPUTS, taps), np.float32)
    filled[:outputs] = weights
    bias = np.zeros(len(filled), np.float32)
    bias[:outputs] = graph[node.inputs[2]].value
    values = filled.reshape(-1, OUTPUTS, taps).transpose(0, 2, 1).reshape(-1)
    constants = (
        Constant("offsets", offsets[0].astype(np.uint32), f"uint32 ({taps}): bytes"),
        Constant("values", np.ascontiguousarray(values), "float32 (blocks, taps, 4)"),
        Constant("bias", bias, f"float32 ({bias.size})"),
    )
    params = planes_conv.geometry_params(node, graph) | geometry.clamp(node, graph)
    return Packed({**params, "taps": taps}, constants)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights as the graph has them."""
    taps = len(packed.constants[0].array)
    filled = packed.constants[1].array.reshape(-1, taps, OUTPUTS).transpose(0, 2, 1)
    shape = graph[node.inputs[1]].shape
    return filled.reshape(-1, taps)[: shape[0]].reshape(shape)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Work by what it grows with: vectors, taps and blocks a tile, rows."""
    w = geometry.window(node, graph)
    taps, blocks = w.kernel_h * w.kernel_w * w.in_c, -(-w.out_c // OUTPUTS)
    found = planes_conv.output_features(node, graph)
    vectors = found["vectors"] / w.out_c
    tiles = -(-vectors // TILE_VECTORS)
    return {
        "vector_macs": taps * blocks * OUTPUTS * vectors,
        "tile_taps": taps * blocks * tiles,
        "tile_channels": w.out_c * tiles,
        **found,
    }
