"""Take out of every bias what quantization adds to a channel on average.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
arXiv 1906.04721, section 4.2 and appendix D: the empirical form, layer after layer, so that each is
measured on what the corrected ones before it make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Conv2d, DepthwiseConv2d, FullyConnected, Graph, Node, Tensor
from fedtiny.compiler.passes.base import INT8, ONE_READER, Pass
from fedtiny.compiler.quantization import dequantize_values, quantization_of, shifted_bias
from fedtiny.compiler.reference import execute

Values = Mapping[str, NDArray[Any]]


def correct_bias_pass(real: Graph, expected: Values, inputs: NDArray[np.int8]) -> Pass:
    """The pass for this float graph and these samples; see `correct_bias`."""
    run = partial(correct_bias, real=real, expected=expected, inputs=inputs)
    return Pass("correct_bias", (INT8, ONE_READER), (INT8,), run)


def correct_bias(graph: Graph, real: Graph, expected: Values, inputs: NDArray[np.int8]) -> Graph:
    """Correct the bias of every layer.

    Args:
        graph: int8, quantized from `real`.
        real: Float32.
        expected: By tensor, what `real` makes of the samples, `(N, ...)`.
        inputs: The samples `(N, H, W, C)` of the one input, quantized.
    """
    values: dict[str, NDArray[Any]] = {graph.inputs[0]: inputs}
    for node in graph.nodes:
        if isinstance(node.attributes, Conv2d | DepthwiseConv2d | FullyConnected):
            graph = graph.rewrite(graph.nodes, [_corrected(node, graph, real, values, expected)])
        alone, given = _alone(node, graph, values)
        values |= execute(alone, given)
    return graph


def _alone(node: Node, graph: Graph, values: Values) -> tuple[Graph, Values]:
    """A graph of one node, and its inputs."""
    activations = tuple(dict.fromkeys(n for n in node.inputs if graph[n].data is None))
    alone = Graph(node.name, graph.tensors, (node,), activations, node.outputs)
    return alone, {name: values[name] for name in activations}


def _corrected(node: Node, graph: Graph, real: Graph, values: Values, expected: Values) -> Tensor:
    source, weights, bias = node.inputs
    x = dequantize_values(values[source], quantization_of(graph, source))
    held = [
        replace(real[n], data=dequantize_values(graph[n].value, quantization_of(graph, n)))
        for n in (weights, bias)
    ]
    bare = replace(node, attributes=replace(node.attributes, activation="none"))  # type: ignore[call-arg]
    wanted = _mean(bare, real, expected[source])
    found = _mean(bare, real.rewrite(real.nodes, held), x)
    return replace(graph[bias], data=shifted_bias(graph[bias], found - wanted))


def _mean(node: Node, graph: Graph, x: NDArray[Any]) -> NDArray[np.float64]:
    """By channel, of a layer without activation over samples and pixels."""
    alone, given = _alone(node, graph, {node.inputs[0]: x})
    made = execute(alone, given)[node.output]
    mean: NDArray[np.float64] = made.reshape(-1, made.shape[-1]).mean(axis=0, dtype=np.float64)
    return mean
