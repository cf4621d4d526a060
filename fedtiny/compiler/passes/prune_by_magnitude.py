"""Prune a float graph by magnitude: a what-if for speed and size, accuracy not recovered."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Conv2d, FullyConnected, Graph, Node, Pattern, Tensor
from fedtiny.compiler.passes.base import FLOAT, Pass
from fedtiny.errors import UsageError


def prune_magnitude_pass(density: float) -> Pass:
    """The pass for this density; see `prune_magnitude`."""
    return Pass("prune_magnitude", (FLOAT,), (FLOAT,), partial(prune_magnitude, density=density))


def prune_magnitude(graph: Graph, density: float) -> Graph:
    """Keep the largest weights of every prunable layer; zero the others.

    Never pruned are biases, the first convolution, the layers that make the outputs, and depthwise
    convolutions (a handful of taps a channel).

    Args:
        graph: Float32, before or after the float passes.
        density: In (0, 1]; every prunable layer keeps `round(density * n)` weights, at least one.
            Equal magnitudes keep the earlier.

    Raises:
        UsageError: The density is outside (0, 1].
    """
    if not 0 < density <= 1:
        raise UsageError(f"density {density}: a number above 0 and at most 1 is wanted.")
    tensors: dict[str, Tensor] = {}
    for node in prunable_layers(graph):
        weights = graph[node.inputs[1]]
        data = _keep_largest(weights.value, max(1, round(density * weights.size)))
        tensors[weights.name] = replace(weights, data=data, pattern=Pattern.of(data))
    return graph.rewrite(graph.nodes, tensors.values())


def prunable_layers(graph: Graph) -> tuple[Node, ...]:
    """The layers whose weights may be pruned, in order.

    Source: FedTiny's convention (arXiv 2212.01977 and its authors' later work): the output layer,
    biases and normalization stay dense. That the first convolution does is a decision of this
    project.
    """
    layers = [n for n in graph.nodes if isinstance(n.attributes, Conv2d | FullyConnected)]
    first = next((n.name for n in layers if isinstance(n.attributes, Conv2d)), None)
    last = _output_layers(graph)
    return tuple(n for n in layers if n.name != first and n.name not in last)


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


def _keep_largest(weights: NDArray[np.generic], count: int) -> NDArray[np.float32]:
    flat = weights.astype(np.float32).ravel()
    order = np.argsort(-np.abs(flat), kind="stable")
    kept = np.zeros_like(flat)
    kept[order[:count]] = flat[order[:count]]
    return kept.reshape(weights.shape)
