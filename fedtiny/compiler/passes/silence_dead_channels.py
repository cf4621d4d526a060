"""Zero all weights that make or read dead channels, before anything is measured of them.

Batch normalization of a channel that hardly ever changes has a factor of hundreds; folded, it makes
weights that would dictate the scale of a whole tensor when it is quantized. Where such a channel is
dead (see `drop_dead_channels`, which takes it out later) its weights do not matter.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedtiny.compiler import channels
from fedtiny.compiler.channels import Channels
from fedtiny.compiler.ir import Conv2d, DepthwiseConv2d, FullyConnected, Graph, Pattern, Tensor
from fedtiny.compiler.passes.base import NO_BATCH_NORM, ONE_READER, Pass


def silence_dead_channels_pass() -> Pass:
    """The pass; see `silence_dead_channels`."""
    return Pass("silence_dead_channels", (NO_BATCH_NORM, ONE_READER), (), silence_dead_channels)


def silence_dead_channels(graph: Graph) -> Graph:
    """Keep every shape and the outputs; dead channels are made of nothing and read by nothing.

    Args:
        graph: Float32, lowered, or int8.
    """
    known = channels.constants(graph)
    kept = channels.needed(graph, known)
    made: list[Tensor] = []
    for node in graph.nodes:
        dead = channels.others(graph, node.output, kept)
        match node.attributes:
            case Conv2d(groups=1) | FullyConnected():
                source, weights, _ = node.inputs
                removed = channels.others(graph, source, kept)
                made.append(_zeroed(_zeroed(graph[weights], dead, 0), removed, -1))
                folded = channels.with_folded(node, graph, known[source], removed)
                made.append(_zeroed(folded, dead, 0))
            case DepthwiseConv2d():
                made += [_zeroed(graph[name], dead, -1) for name in node.inputs[1:]]
            case _:
                pass
    return graph.rewrite(graph.nodes, made)


def _zeroed(tensor: Tensor, indices: Channels, axis: int) -> Tensor:
    if not len(indices):
        return tensor
    data = tensor.value.copy()
    np.moveaxis(data, axis, 0)[indices] = 0
    pattern = tensor.pattern
    if pattern is not None and pattern.kind != "dense":
        pattern = replace(pattern, density=Pattern.of(data).density)
    return replace(tensor, data=data, pattern=pattern)
