"""Fuse ReLU and ReLU6 into the node before them."""

from __future__ import annotations

from dataclasses import replace

from fedtiny.compiler.ir import (
    Add,
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Relu,
)
from fedtiny.compiler.operators import MaxPool2d, Mul, Sub, TransposeConv2d, Unary
from fedtiny.compiler.passes.base import NO_BATCH_NORM, Pass

FUSING = (
    *(Add, AveragePool2d, Conv2d, DepthwiseConv2d, FullyConnected),
    *(MaxPool2d, Mul, Sub, TransposeConv2d),
)


def fuse_activation(graph: Graph) -> Graph:
    """Let the producer clamp its own output; the tensor after the activation survives.

    Where nothing can clamp for it (the value before it is needed too, or is an input), it becomes
    an elementwise function.
    """
    nodes: dict[str, Node] = {}  # by output
    for node in graph.nodes:
        if not isinstance(node.attributes, Relu):
            nodes[node.output] = node
            continue
        source = node.inputs[0]
        activation = node.attributes.activation
        producer = nodes.get(source)
        alone = len(graph.consumers(source)) == 1 and source not in graph.outputs
        if producer is not None and alone and _free(producer):
            del nodes[source]
            attributes = replace(producer.attributes, activation=activation)  # type: ignore[call-arg]
            nodes[node.output] = replace(producer, attributes=attributes, outputs=node.outputs)
        else:
            assert activation != "none"
            nodes[node.output] = replace(node, attributes=Unary(activation))
    return graph.rewrite(nodes.values())


def _free(producer: Node) -> bool:
    return isinstance(producer.attributes, FUSING) and producer.attributes.activation == "none"


PASS = Pass("fuse_activation", (NO_BATCH_NORM,), (), fuse_activation)
