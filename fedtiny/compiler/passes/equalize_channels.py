"""Scale channels between layers so that quantizing activations and weights loses equally little.

A channel of small values uses few of the int8 values that its tensor's range shares out. Where a
layer without activation, or with ReLU, feeds one layer alone, dividing a channel's outputs by a
factor and multiplying the weights that read it by the same changes nothing in float32.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
arXiv 1906.04721, section 4.1. There both sides are weights; here the first is the activation,
because the weights that make it have a scale a channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Conv2d, DepthwiseConv2d, FullyConnected, Graph, Node, Tensor
from fedtiny.compiler.passes.base import FLOAT, NO_BATCH_NORM, ONE_READER, Pass

LAYERS = (Conv2d, DepthwiseConv2d, FullyConnected)
MOST = 8.0
"""A factor is at most this, and at least its inverse."""


def equalize_channels_pass(greatest: Mapping[str, NDArray[np.floating]]) -> Pass:
    """The pass for these magnitudes; see `equalize_channels`."""
    requires = (FLOAT, NO_BATCH_NORM, ONE_READER)
    run = partial(equalize_channels, greatest=greatest)
    return Pass("equalize_channels", requires, (FLOAT, NO_BATCH_NORM), run)


def equalize_channels(graph: Graph, greatest: Mapping[str, NDArray[np.floating]]) -> Graph:
    """Rescale every tensor between two layers; zero weights stay zero.

    Args:
        graph: Float32, lowered.
        greatest: By tensor, the greatest magnitude of each channel, `(C,)`.
    """
    changed: dict[str, Tensor] = {}

    def current(name: str) -> Tensor:
        return changed.get(name, graph[name])

    for node in graph.nodes:
        reader = _reader(graph, node)
        if reader is None or node.output not in greatest:
            continue
        factor = _factors(greatest[node.output], current(reader.inputs[1]), reader)
        weights, bias = (current(name) for name in node.inputs[1:])
        axis = 3 if isinstance(node.attributes, DepthwiseConv2d) else 0
        changed[weights.name] = _scaled(weights, 1 / factor, axis)
        changed[bias.name] = _scaled(bias, 1 / factor, 0)
        read = current(reader.inputs[1])
        changed[read.name] = _scaled(read, factor, len(read.shape) - 1)
    return graph.rewrite(graph.nodes, changed.values())


def _reader(graph: Graph, node: Node) -> Node | None:
    """The one layer that reads a layer's output, if channels can be scaled between them."""
    attributes = node.attributes
    if not isinstance(attributes, LAYERS) or attributes.activation == "relu6":
        return None
    readers = graph.consumers(node.output)
    if len(readers) != 1 or node.output in graph.outputs:
        return None
    one = readers[0].attributes
    grouped = isinstance(one, Conv2d) and one.groups > 1
    return readers[0] if isinstance(one, LAYERS) and not grouped else None


def _factors(greatest: NDArray[np.floating], read: Tensor, reader: Node) -> NDArray[np.float64]:
    """What each channel is divided by: 1 for the widest channel."""
    made = greatest.astype(np.float64)
    if isinstance(reader.attributes, DepthwiseConv2d):
        # Its weights have a scale a channel, too: they take any factor for nothing.
        factor = made
    else:
        weights = np.abs(read.value.astype(np.float64)).reshape(-1, read.shape[-1]).max(axis=0)
        factor = np.sqrt(made / np.where(weights > 0, weights, np.inf))
    used = factor > 0
    whole = float(factor.max(initial=0.0))
    if whole == 0:
        return np.ones_like(made)
    relative = np.where(used, factor / whole, 1.0)
    return np.clip(relative, 1 / MOST, MOST)


def _scaled(tensor: Tensor, factor: NDArray[np.float64], axis: int) -> Tensor:
    shape = [1] * len(tensor.shape)
    shape[axis] = -1
    data = tensor.value.astype(np.float64) * factor.reshape(shape)
    return replace(tensor, data=data.astype(np.float32))
