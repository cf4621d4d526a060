"""Prune by magnitude, float32 or int8: a what-if for speed and size, accuracy not recovered."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import patterns
from fedtiny.compiler.ir import Conv2d, FullyConnected, Graph, Node, Pattern, Tensor
from fedtiny.compiler.passes.base import Pass, Property
from fedtiny.compiler.quantization import dequantize_values
from fedtiny.errors import UsageError


def _zero_is_zero(graph: Graph) -> bool:
    tensors = (graph[node.inputs[1]] for node in prunable_layers(graph))
    return all(t.quantization is None or not np.any(t.quantization.zero_point) for t in tensors)


RECONSTRUCTION_SHARE = 0.1
"""An output layer that reconstructs is prunable where it holds this share of the weights."""

ZERO_IS_ZERO = Property("stored zero weights mean 0", _zero_is_zero)


def prune_magnitude_pass(density: float, pattern: str) -> Pass:
    """The pass for this density and pattern; see `prune_magnitude`."""
    run = partial(prune_magnitude, density=density, pattern=pattern)
    return Pass("prune_magnitude", (ZERO_IS_ZERO,), (ZERO_IS_ZERO,), run)


def prune_magnitude(graph: Graph, density: float, pattern: str = "unstructured") -> Graph:
    """Keep the largest weights of every prunable layer; zero the others.

    Magnitudes are real ones: of int8 weights, `|q| * scale` of their channel.

    Args:
        graph: Float32, before or after the float passes, or int8.
        density: In (0, 1]; every prunable layer keeps `round(density * n)` weights or groups of a
            pattern, at least one. Equal magnitudes keep the earlier.
        pattern: One of `fedtiny.compiler.patterns.NAMES`.

    Raises:
        UsageError: The density is outside (0, 1], or not that of an N:M pattern.
    """
    if not 0 < density <= 1:
        raise UsageError(f"density {density}: a number above 0 and at most 1 is wanted.")
    patterns.density_of(pattern, density)
    tensors: dict[str, Tensor] = {}
    for node in prunable_layers(graph):
        weights = graph[node.inputs[1]]
        data = _keep_largest(weights, density, pattern)
        found = Pattern.of(data)
        if found.kind != "dense":
            found = replace(found, kind=patterns.kind(pattern))
        tensors[weights.name] = replace(weights, data=data, pattern=found)
    return graph.rewrite(graph.nodes, tensors.values())


def prunable_layers(graph: Graph) -> tuple[Node, ...]:
    """The layers whose weights may be pruned, in order.

    Never pruned are biases, depthwise convolutions (a handful of taps a channel), the first
    convolution, and the output layer: a classifier's is small, and each of its rows is all that one
    class has. An output layer that reconstructs is no classifier: it is prunable where the model
    makes at least as many values as it reads and the layer holds at least a tenth of the weights
    (the last layer of MLPerf Tiny's autoencoder holds a third).

    Source: FedTiny's convention (arXiv 2212.01977 and its authors' later work): the output layer,
    biases and normalization stay dense. The first convolution and reconstruction are decisions of
    this project.
    """
    layers = [n for n in graph.nodes if isinstance(n.attributes, Conv2d | FullyConnected)]
    first = next((n.name for n in layers if isinstance(n.attributes, Conv2d)), None)
    weights = sum(graph[n.inputs[1]].size for n in layers)
    least = RECONSTRUCTION_SHARE * weights if _reconstructs(graph) else math.inf
    last = _output_layers(graph)
    return tuple(
        n
        for n in layers
        if n.name != first and (n.name not in last or graph[n.inputs[1]].size >= least)
    )


def _reconstructs(graph: Graph) -> bool:
    made, read = (sum(graph[n].size for n in names) for names in (graph.outputs, graph.inputs))
    return made >= read


def _output_layers(graph: Graph) -> set[str]:
    """The layers from which an output is reached without passing another layer."""
    found: set[str] = set()
    pending = list(graph.outputs)
    while pending:
        node = graph.producer(pending.pop())
        if node is None:
            continue
        if isinstance(node.attributes, Conv2d | FullyConnected):
            found.add(node.name)
        else:
            pending.extend(node.inputs)
    return found


def _keep_largest(weights: Tensor, density: float, pattern: str) -> NDArray[np.generic]:
    real = weights.value.astype(np.float64)
    if weights.quantization is not None:
        real = dequantize_values(weights.value, weights.quantization).astype(np.float64)
    mask = patterns.keep_largest(real, density, pattern)
    return np.where(mask, weights.value, np.zeros((), weights.value.dtype))
