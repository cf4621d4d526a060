"""Fold inference batch normalization into the layer before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import (
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Pattern,
    Tensor,
)
from fedtiny.compiler.operators import TransposeConv2d
from fedtiny.compiler.passes.base import FLOAT, NO_BATCH_NORM, ONE_READER, Pass
from fedtiny.errors import UnsupportedError

LAYERS = (Conv2d, DepthwiseConv2d, FullyConnected, TransposeConv2d)


def fold_batchnorm(graph: Graph) -> Graph:
    """Scale weights and shift biases; a layer then makes what its batch_norm made.

    A batch_norm that follows no layer of its own becomes a 1x1 depthwise convolution. Zero weights
    stay exactly zero.

    Raises:
        UnsupportedError: A batch_norm has no such layer before it and no pixels, or its statistics
            are not finite; names the node.
    """
    nodes: dict[str, Node] = {node.output: node for node in graph.nodes}  # by output, in order
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        if not isinstance(node.attributes, BatchNorm):
            continue
        source = node.inputs[0]
        factor, offset = _affine(graph, node)
        layer = nodes.get(source)
        if layer is not None and _can_absorb(graph, layer):
            w, b = (tensors.get(name, graph[name]) for name in layer.inputs[1:])
            axis = 3 if isinstance(layer.attributes, DepthwiseConv2d) else 0
            spread = factor.reshape([-1 if i == axis else 1 for i in range(len(w.shape))])
            scaled = _float32(_double(w) * spread)
            pattern = w.pattern and replace(w.pattern, density=Pattern.of(scaled).density)
            tensors[w.name] = replace(w, data=scaled, pattern=pattern)
            tensors[b.name] = replace(b, data=_float32(_double(b) * factor + offset))
            del nodes[source]
            nodes[node.output] = replace(layer, outputs=node.outputs)
        elif len(graph[source].shape) == 4:
            weights, bias = node.inputs[1:3]
            data = _float32(factor.reshape(1, 1, 1, -1))
            tensors[weights] = Tensor(weights, data.shape, "float32", data=data)
            tensors[bias] = replace(graph[bias], data=_float32(offset))
            inputs = (source, weights, bias)
            nodes[node.output] = Node(node.name, DepthwiseConv2d(), inputs, node.outputs)
        else:
            raise UnsupportedError(
                f"node {node.name!r}: batch_norm of a vector is supported only directly after a "
                "fully connected layer that nothing else reads."
            )
    return graph.rewrite(
        [nodes[n.output] for n in graph.nodes if n.output in nodes], tensors.values()
    )


def _can_absorb(graph: Graph, layer: Node) -> bool:
    is_layer = isinstance(layer.attributes, LAYERS)
    if not is_layer or layer.attributes.activation != "none":  # type: ignore[attr-defined]
        return False
    return len(graph.consumers(layer.output)) == 1 and layer.output not in graph.outputs


def _affine(graph: Graph, node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Batch normalization as `x * factor + offset`, `(C,)` each, in double precision."""
    assert isinstance(node.attributes, BatchNorm)
    scale, offset, mean, variance = (_double(graph[name]) for name in node.inputs[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = scale / np.sqrt(variance + node.attributes.epsilon)
        shift = offset - mean * factor
    if not (np.isfinite(factor).all() and np.isfinite(shift).all()):
        raise UnsupportedError(
            f"node {node.name!r}: batch_norm whose statistics are not finite (or whose variance "
            "is negative) has no meaning."
        )
    return factor, shift


def _double(constant: Tensor) -> NDArray[np.float64]:
    return constant.value.astype(np.float64)


def _float32(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round; adding zero turns -0 into 0, so that a pruned weight has one form."""
    return x.astype(np.float32) + np.float32(0)


PASS = Pass("fold_batchnorm", (FLOAT, ONE_READER), (FLOAT, NO_BATCH_NORM), fold_batchnorm)
