"""Drop channels that are the same number everywhere, and channels that nothing reads.

Pruning leaves convolutions whose output channels have no weight: such a channel is its bias, a
constant. Where a convolution reads it, its part of the sum is a constant too and goes into the
bias; the channel need not be made. Channels whose readers have no weight for them need not be made
either. Both travel through operators that work channel by channel, in both directions.

At a border, a padded convolution sees the padding instead of the channel, so that a channel is
folded into one only where its value is that of the padding. An int8 graph computes the same
integers as before, a float graph the same numbers but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import channels
from fedtiny.compiler.channels import Channels, Values
from fedtiny.compiler.ir import (
    Add,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Pattern,
    Quantization,
    Tensor,
)
from fedtiny.compiler.operators import Mul, Sub
from fedtiny.compiler.passes.base import NO_BATCH_NORM, NO_DEAD_CODE, ONE_READER, Pass
from fedtiny.compiler.passes.eliminate_dead_code import eliminate_dead_code


def drop_dead_channels_pass(multiple: int = 1) -> Pass:
    """The pass; see `drop_dead_channels`."""
    run = partial(drop_dead_channels, multiple=multiple)
    return Pass("drop_dead_channels", (NO_BATCH_NORM, ONE_READER), (NO_DEAD_CODE,), run)


def drop_dead_channels(graph: Graph, multiple: int = 1) -> Graph:
    """Make every tensor as narrow as its readers allow; inputs and outputs stay as they are.

    Args:
        graph: Float32, lowered, or int8. Names do not change.
        multiple: Tensors that lose channels keep a multiple of this, where they had one.
    """
    while True:
        graph = eliminate_dead_code(_with_constant_operands(graph))
        known = channels.constants(graph)
        kept = channels.needed(graph, known, multiple)
        if all(len(kept[tensor.name]) == tensor.shape[-1] for tensor in graph.activations()):
            return graph
        graph = _narrowed(graph, known, kept)


def _narrowed(graph: Graph, known: Mapping[str, Values], kept: Mapping[str, Channels]) -> Graph:
    tensors: dict[str, Tensor] = {}
    nodes = [node for node in graph.nodes if len(kept[node.output])]
    for node in nodes:
        tensors[node.output] = _narrow(graph[node.output], kept[node.output])
        tensors |= {t.name: t for t in _constants(node, graph, known, kept)}
    return graph.rewrite(nodes, tensors.values())


def _with_constant_operands(graph: Graph) -> Graph:
    """Let sums, differences and products read a constant where an operand always is one."""
    known = channels.constants(graph)
    nodes: list[Node] = []
    made: list[Tensor] = []
    for node in graph.nodes:
        if isinstance(node.attributes, Add | Mul | Sub):
            operands = [name for name in node.inputs if graph[name].data is None]
            fixed = [name for name in operands if np.isfinite(known[name]).all()]
            whole = [name for name in operands if graph[name].shape == graph[node.output].shape]
            if len(fixed) == 1 and set(whole) - set(fixed):
                constant = _as_constant(graph[fixed[0]], known[fixed[0]], node)
                made.append(constant)
                node = _reading(node, fixed[0], constant.name)
        nodes.append(node)
    return graph.rewrite(nodes, made)


def _as_constant(tensor: Tensor, values: Values, reader: Node) -> Tensor:
    shape = (*(1 for _ in tensor.shape[:-1]), tensor.shape[-1])
    data = values.astype(tensor.dtype).reshape(shape)
    return replace(tensor, name=f"{reader.output}/{tensor.name}", shape=shape, data=data)


def _reading(node: Node, operand: str, constant: str) -> Node:
    """The node with a constant for an operand; a constant is always the second."""
    first, second = node.inputs
    if operand == second:
        return replace(node, inputs=(first, constant))
    attributes = node.attributes
    if isinstance(attributes, Sub):
        attributes = replace(attributes, reverse=not attributes.reverse)
    return replace(node, attributes=attributes, inputs=(second, constant))


def _constants(
    node: Node, graph: Graph, known: Mapping[str, Values], kept: Mapping[str, Channels]
) -> list[Tensor]:
    """A node's constants for the channels that stay."""
    made = kept[node.output]
    match node.attributes:
        case Conv2d(groups=1) | FullyConnected():
            source, weights, _ = node.inputs
            removed = channels.others(graph, source, kept)
            whole = channels.with_folded(node, graph, known[source], removed)
            narrow = _narrow(_taken(graph[weights], made, 0), kept[source])
            return [narrow, _taken(whole, made, 0)]
        case DepthwiseConv2d():
            return [_narrow(graph[name], made) for name in node.inputs[1:]]
        case Add() | Mul() | Sub():
            constants = (graph[name] for name in node.inputs if graph[name].data is not None)
            return [_narrow(t, made) for t in constants if t.shape[-1] > 1]
        case _:
            return []


def _narrow(tensor: Tensor, kept: Channels) -> Tensor:
    """The last axis without the channels that go."""
    return _taken(tensor, kept, len(tensor.shape) - 1)


def _taken(tensor: Tensor, kept: Channels, axis: int) -> Tensor:
    if len(kept) == tensor.shape[axis]:
        return tensor
    shape = (*tensor.shape[:axis], len(kept), *tensor.shape[axis + 1 :])
    data: NDArray[np.generic] | None = None
    pattern = tensor.pattern
    if tensor.data is not None:
        data = np.ascontiguousarray(np.take(tensor.data, kept, axis))
        pattern = pattern and replace(pattern, density=Pattern.of(data).density)
    quantization = tensor.quantization
    if quantization is not None and quantization.axis == axis:
        parts = quantization.scale[kept], quantization.zero_point[kept]
        quantization = Quantization(*parts, axis)
    return replace(tensor, shape=shape, data=data, pattern=pattern, quantization=quantization)
