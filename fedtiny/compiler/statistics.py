"""Counts that reports and budgets state: multiply-accumulates, parameters, density."""

from __future__ import annotations

import numpy as np

from fedtiny.compiler.ir import Graph, Node, Tensor

WEIGHTED_OPS = ("conv2d", "depthwise_conv2d", "fully_connected")


def weights(node: Node, graph: Graph) -> Tensor | None:
    """The weight tensor of a node, or None where its op has none."""
    return graph[node.inputs[1]] if node.op in WEIGHTED_OPS else None


def macs(node: Node, graph: Graph) -> int:
    """Multiply-accumulates of one inference, zero weights and padded pixels counted."""
    tensor = weights(node, graph)
    return 0 if tensor is None else tensor.size * _uses(node, graph)


def macs_nonzero(node: Node, graph: Graph) -> int:
    """Multiply-accumulates with a nonzero weight, padded pixels counted."""
    tensor = weights(node, graph)
    return 0 if tensor is None else int(np.count_nonzero(tensor.value)) * _uses(node, graph)


def density(tensor: Tensor) -> float:
    """Nonzeros / total of a constant."""
    return int(np.count_nonzero(tensor.value)) / max(1, tensor.size)


def model_density(graph: Graph) -> float:
    """Nonzeros / total of all weights; biases are not counted."""
    tensors = [t for node in graph.nodes if (t := weights(node, graph)) is not None]
    total = sum(t.size for t in tensors)
    return sum(int(np.count_nonzero(t.value)) for t in tensors) / max(1, total)


def parameters(graph: Graph) -> int:
    """Weights and biases, zeros counted."""
    constants = {
        name for node in graph.nodes for name in node.inputs if graph[name].data is not None
    }
    return sum(graph[name].size for name in constants)


def _uses(node: Node, graph: Graph) -> int:
    """How often one weight is used in an inference: the output pixels."""
    return int(np.prod(graph[node.output].shape[1:-1], dtype=np.int64))
