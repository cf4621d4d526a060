"""By how much runtimes that round int8 layers in floating point may differ from the reference.

Two stock runtimes do: onnxruntime on QDQ files, and LiteRT's default delegate (XNNPACK). They
rescale an accumulator by a float32 factor and round halves to even, where TensorFlow Lite's
specification multiplies by a 31-bit integer. Single layers so differ by at most 1 LSB, at values
near a half, and later layers see those differences. The figures are in `exporters/onnx.py`.
"""

from __future__ import annotations

import math

from fedtiny.compiler.ir import Graph, Softmax
from fedtiny.compiler.quantization import scale_of

TOLERANCE_LSB = 12
"""By how much outputs of an int8 network as deep as ResNet-8 may differ."""
TOLERANCE_KEY = "tolerance_lsb"
"""Key of `tolerance_lsb` in the metadata of an int8 file, for those who verify it."""


def tolerance_lsb(graph: Graph) -> int:
    """By how many LSBs the outputs of an int8 graph may differ from the reference.

    Softmax amplifies: where every input is off by at most e, a probability is off by tanh(e / 2).
    """
    worst = TOLERANCE_LSB
    for name in graph.outputs:
        node = graph.producer(name)
        if node is not None and isinstance(node.attributes, Softmax):
            error = node.attributes.beta * scale_of(graph, node.inputs[0]) * TOLERANCE_LSB
            worst = max(worst, math.ceil(math.tanh(error / 2) / scale_of(graph, name)) + 1)
    return worst
