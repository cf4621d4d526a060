"""Fold padding into the convolution or the pooling that reads it.

A convolution pads with zeros, maximum pooling with what never wins, a transposed convolution
spreads zeros to nothing: a pad of that value in front of one is its padding. In int8 a pad holds
the integer that stands for its value, so that zero is the zero point, exactly.
"""

from __future__ import annotations

from dataclasses import replace

from fedtiny.compiler.ir import Attributes, Conv2d, DepthwiseConv2d, Graph, Node, Padding
from fedtiny.compiler.operators import MaxPool2d, Pad, TransposeConv2d
from fedtiny.compiler.passes.base import Pass, Property
from fedtiny.compiler.quantization import INT8_MIN, constant_value

LEAST_FLOAT = -1e38
"""What is at most this never wins a maximum of real activations."""


def fold_pads(graph: Graph) -> Graph:
    """Let readers of a pad read what the pad reads; a pad that nothing reads is dropped."""
    nodes: list[Node] = []
    pads: dict[str, Node] = {}
    for node in graph.nodes:
        while (pad := pads.get(node.inputs[0])) is not None:
            attributes = _folded(node, pad, graph)
            if attributes is None:
                break
            inputs = (pad.inputs[0], *node.inputs[1:])
            node = replace(node, attributes=attributes, inputs=inputs)
        if isinstance(node.attributes, Pad):
            pads[node.output] = node
        nodes.append(node)
    read, kept = set(graph.outputs), []
    for node in reversed(nodes):
        if node.output in read or not isinstance(node.attributes, Pad):
            read.update(node.inputs)
            kept.append(node)
    return graph.rewrite(reversed(kept))


def _folded(node: Node, pad: Node, graph: Graph) -> Attributes | None:
    """What a reader of a pad becomes when it reads the pad's input; None where that differs."""
    a, given = node.attributes, pad.attributes
    assert isinstance(given, Pad)
    if any(given.channels):
        return None
    held = constant_value(graph, pad.output, given.value)
    zero = held == constant_value(graph, pad.output, 0.0)
    match a:
        case Pad() if constant_value(graph, node.output, a.value) == held:
            return replace(a, padding=_sum(a.padding, given.padding))
        case Conv2d() | DepthwiseConv2d() if zero:
            return replace(a, padding=_sum(a.padding, given.padding))
        case MaxPool2d() if held <= (INT8_MIN if isinstance(held, int) else LEAST_FLOAT):
            total = _sum(a.padding, given.padding)
            inside = all(max(p) < k for p, k in zip(total, a.kernel, strict=True))
            return replace(a, padding=total) if inside else None
        case TransposeConv2d() if zero:
            before = [a.stride[i] * given.padding[i][0] for i in range(2)]
            crop = (a.crop[0] - before[0], a.crop[1] - before[1])
            return replace(a, crop=crop) if min(crop) >= 0 else None
    return None


def _sum(a: Padding, b: Padding) -> Padding:
    rows, columns = ((p[0] + q[0], p[1] + q[1]) for p, q in zip(a, b, strict=True))
    return rows, columns


def _nothing_to_fold(graph: Graph) -> bool:
    pads = {n.output: n for n in graph.nodes if isinstance(n.attributes, Pad)}
    readers = [n for n in graph.nodes if n.inputs[0] in pads]
    return all(_folded(n, pads[n.inputs[0]], graph) is None for n in readers)


PADS_FOLDED = Property("no pad that its reader could do", _nothing_to_fold)
PASS = Pass("fold_pads", (), (PADS_FOLDED,), fold_pads)
