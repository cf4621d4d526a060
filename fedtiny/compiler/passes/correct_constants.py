"""Take out of biases what rounding adds where a layer reads channels that are constant.

A padded convolution cannot do without a constant channel (see `drop_dead_channels`), and batch
normalization of what hardly changes gives such channels weights in the hundreds: half a step of the
constant is then more than the output's whole range. The error of a constant is known beforehand.
What counts is the interior of the image: at borders fewer taps read the constant.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from fedtiny.compiler import channels
from fedtiny.compiler.channels import Values
from fedtiny.compiler.ir import Conv2d, DepthwiseConv2d, FullyConnected, Graph, Node, Tensor
from fedtiny.compiler.passes.base import INT8, ONE_READER, Pass
from fedtiny.compiler.quantization import dequantize_values, quantization_of, shifted_bias


def correct_constants_pass(real: Graph) -> Pass:
    """The pass for this float graph; see `correct_constants`."""
    run = partial(correct_constants, real=real)
    return Pass("correct_constants", (INT8, ONE_READER), (INT8,), run)


def correct_constants(graph: Graph, real: Graph) -> Graph:
    """Correct the bias of every layer that reads constants, one after another.

    Args:
        graph: int8, quantized from `real`.
        real: Float32.
    """
    expected = channels.constants(real, interior=True)
    if all(np.isnan(expected[t.name]).all() for t in graph.activations() if t.name in expected):
        return graph
    known: dict[str, Values] = {}
    channels.start(graph, known)
    for node in graph.nodes:
        match node.attributes:
            case Conv2d(groups=1) | FullyConnected() | DepthwiseConv2d():
                source = node.inputs[0]
                if source in expected:
                    corrected = _corrected(node, graph, real, known[source], expected[source])
                    graph = graph.rewrite(graph.nodes, [corrected])
            case _:
                pass
        channels.advance(node, graph, known, interior=True)
    return graph


def _corrected(node: Node, graph: Graph, real: Graph, held: Values, wanted: Values) -> Tensor:
    source, weights, bias = node.inputs
    both = np.isfinite(held) & np.isfinite(wanted)
    quantization = quantization_of(graph, source)
    stored = dequantize_values(np.where(both, held, 0), quantization)
    rounded = dequantize_values(graph[weights].value, quantization_of(graph, weights))
    error = rounded * np.where(both, stored, 0).astype(np.float64)
    error -= real[weights].value.astype(np.float64) * np.where(both, wanted, 0)
    if isinstance(node.attributes, DepthwiseConv2d):
        added = error.sum(axis=(0, 1, 2))
    else:
        added = error.reshape(len(error), -1).sum(axis=1)
    return replace(graph[bias], data=shifted_bias(graph[bias], added))
