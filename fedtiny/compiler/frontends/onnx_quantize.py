"""From a float graph whose values are annotated (QDQ) to the int8 graph that it stands for.

ONNX describes int8 layers as float layers between DequantizeLinear and QuantizeLinear; here they
get the TensorFlow Lite int8 meaning. onnxruntime rounds each output of a layer once, halves to
even, and TensorFlow Lite rounds as its specification says, so that one layer's output may differ by
one LSB; differences may add up over layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fedtiny.compiler import quantization as q
from fedtiny.compiler.frontends.graph_builder import MAX_ELEMENTS, GraphBuilder
from fedtiny.compiler.frontends.int8_limits import accumulator_overflows, greatest_ratio, mean_fits
from fedtiny.compiler.ir import (
    Add,
    Attributes,
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Quantization,
    Relu,
    Reshape,
    Softmax,
    Tensor,
)
from fedtiny.compiler.operators import (
    Broadcast,
    Concat,
    Function,
    MaxPool2d,
    Mean,
    Mul,
    Pad,
    ResizeBilinear,
    ResizeNearest,
    Sub,
    Transpose,
    TransposeConv2d,
    Unary,
)
from fedtiny.errors import UnsupportedError

MOVING = Broadcast | Pad | Reshape | ResizeBilinear | ResizeNearest | Transpose
"""Operators that keep the quantization of what they move."""
SOFTMAX_OUTPUT = q.per_tensor(1 / 256, -128)
Known = dict[str, Quantization]


def quantize_annotated(graph: Graph, annotations: Known) -> Graph:
    """Make the int8 graph.

    Args:
        graph: Float activations; weights int8 where the file has them so.
        annotations: By activation, its per-tensor quantization.

    Raises:
        UnsupportedError: A layer has no int8 meaning, or a value has no quantization.
    """
    known = dict(annotations)
    graph = _fuse_relus(graph, known)
    _spread(graph, known)
    builder = GraphBuilder(graph.name)
    for name in graph.inputs:
        _add_activation(builder, graph, name, known, None)
    for node in graph.nodes:
        run = _OPS.get(type(node.attributes))
        if run is None:
            raise _unsupported(graph, node, "it has no int8 meaning")
        _add_activation(builder, graph, node.output, known, node)
        run(builder, graph, node)
    return builder.finish(graph.inputs, graph.outputs)


def dequantize_constants(graph: Graph) -> Graph:
    """Make a float graph whose constants are float32, for files that quantize only weights."""
    tensors = [
        Tensor(
            t.name, t.shape, "float32", None, q.dequantize_values(t.data, t.quantization), t.pattern
        )
        for t in graph.tensors.values()
        if t.data is not None and t.quantization is not None
    ]
    return graph.rewrite(graph.nodes, tensors)


def _unsupported(graph: Graph, node: Node, what: str) -> UnsupportedError:
    return UnsupportedError(f"{graph.name}: node {node.name!r} ({node.op}): {what}.")


def _equal(a: Quantization, b: Quantization) -> bool:
    return bool(a.scale == b.scale and a.zero_point == b.zero_point)


def _fuse_relus(graph: Graph, known: Known) -> Graph:
    """Fuse every activation into the node before it, whose clamp then does the same in int8."""
    nodes: list[Node] = []
    made_by: dict[str, int] = {}
    readers = Counter(name for node in graph.nodes for name in {*node.inputs})
    readers.update(graph.outputs)
    for relu in graph.nodes:
        source = relu.inputs[0]
        if not isinstance(relu.attributes, Relu):
            made_by[relu.output] = len(nodes)
            nodes.append(relu)
            continue
        where = made_by.get(source)
        last = None if where is None else nodes[where]
        single = readers[source] == 1
        if (
            where is None
            or last is None
            or not single
            or getattr(last.attributes, "activation", "") != "none"
        ):
            made_by[relu.output] = len(nodes)
            nodes.append(replace(relu, attributes=Unary(_function(relu.attributes))))
            continue
        before, after = known.pop(source, None), known.get(relu.output)
        if before is not None and after is None:
            known[relu.output] = after = before
        if before is not None and after is not None and not _covers(before, after):
            known[source] = before  # the clamp of a smaller range comes before it
            made_by[relu.output] = len(nodes)
            nodes.append(replace(relu, attributes=Unary(_function(relu.attributes))))
            continue
        activation = relu.attributes.activation
        fused = replace(last.attributes, activation=activation)  # type: ignore[call-arg]
        nodes[where] = replace(last, attributes=fused, outputs=relu.outputs)
        made_by[relu.output] = where
    return graph.rewrite(nodes)


def _function(attributes: Relu) -> Function:
    return "relu6" if attributes.activation == "relu6" else "relu"


def _covers(before: Quantization, after: Quantization) -> bool:
    """Whether every value that `after` holds, up to one step, is held by `before`."""
    tops = [float(x.scale) * (127 - int(x.zero_point)) for x in (before, after)]
    return _equal(before, after) or tops[0] >= tops[1] - float(after.scale)


def _spread(graph: Graph, known: Known) -> None:
    """Give both sides of what only moves one quantization, and softmax the one it always has."""
    for nodes in (graph.nodes, graph.nodes[::-1]):
        for node in nodes:
            if isinstance(node.attributes, MOVING):
                source = node.inputs[0]
                if source in known:
                    known.setdefault(node.output, known[source])
                elif node.output in known:
                    known[source] = known[node.output]
            elif isinstance(node.attributes, Concat):
                for part in node.inputs:  # what only the chain of concatenations made
                    producer = graph.producer(part)
                    chained = producer is not None and isinstance(producer.attributes, Concat)
                    if chained and node.output in known:
                        known.setdefault(part, known[node.output])
            elif isinstance(node.attributes, Softmax):
                known.setdefault(node.output, SOFTMAX_OUTPUT)


def _add_activation(
    builder: GraphBuilder, graph: Graph, name: str, known: Known, node: Node | None
) -> None:
    if name not in known:
        where = f"node {node.name!r} ({node.op})" if node else "the input"
        raise UnsupportedError(
            f"{graph.name}: {where}: {name!r} has no QuantizeLinear, but other values have; all "
            "values must be float32 or all int8."
        )
    builder.activation(name, graph[name].shape, "int8", known[name])


def _meaning(builder: GraphBuilder, name: str) -> Quantization:
    found = builder.tensors[name].quantization
    assert found is not None
    return found


def _convolution(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    weights = graph[node.inputs[1]]
    depthwise = isinstance(node.attributes, DepthwiseConv2d)
    _check_weights(graph, node, weights, 3 if depthwise else 0)
    _append(builder, graph, node, weights, node.attributes, node.inputs[0], node.output)


def _fully_connected(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    """Per-channel weights make it a 1x1 convolution, which has scales per channel."""
    weights = graph[node.inputs[1]]
    _check_weights(graph, node, weights, 0)
    assert isinstance(node.attributes, FullyConnected)
    if weights.quantization is None or weights.quantization.axis is None:
        _append(builder, graph, node, weights, node.attributes, node.inputs[0], node.output)
        return
    out, wide = weights.shape
    source, target = _meaning(builder, node.inputs[0]), _meaning(builder, node.output)
    x = builder.activation(f"{node.inputs[0]}/1x1", (1, 1, 1, wide), "int8", source)
    builder.node(f"{node.name}/to_1x1", Reshape(), (node.inputs[0],), x)
    y = builder.activation(f"{node.output}/1x1", (1, 1, 1, out), "int8", target)
    data = weights.value.reshape(out, 1, 1, wide)
    conv = replace(weights, shape=data.shape, data=data)
    _append(builder, graph, node, conv, Conv2d(activation=node.attributes.activation), x, y)
    builder.node(f"{node.name}/from_1x1", Reshape(), (y,), node.output)


def _check_weights(graph: Graph, node: Node, weights: Tensor, axis: int) -> None:
    quantization = weights.quantization
    if weights.dtype != "int8" or quantization is None:
        raise _unsupported(graph, node, "its weights are not quantized, its values are")
    if np.any(quantization.zero_point) or quantization.axis not in (None, axis):
        raise _unsupported(graph, node, "its weights must be symmetric, per tensor or per output")


def _append(
    builder: GraphBuilder,
    graph: Graph,
    node: Node,
    weights: Tensor,
    attributes: Attributes,
    source: str,
    target: str,
) -> None:
    """Append a layer with its int32 bias; `weights` may have been reshaped."""
    assert weights.quantization is not None
    product = float(_meaning(builder, source).scale) * weights.quantization.scale.astype(np.float64)
    bias = graph[node.inputs[2]]
    scale = product.astype(np.float32)
    if not np.all(scale > 0):
        raise _unsupported(graph, node, "its scales are too small for float32")
    data = bias.value
    if bias.quantization is None or not np.allclose(bias.quantization.scale, scale, 1e-5, 0):
        real = bias.value if bias.quantization is None else q.dequantize_values(
            bias.value, bias.quantization
        )  # fmt: skip
        wanted = q.round_half_away(real.astype(np.float64) / product)
        if not np.all(np.abs(wanted) < 1 << 31):
            raise _unsupported(graph, node, "its bias does not fit into int32")
        data = wanted.astype(np.int32)
    factor = float(np.max(product)) / float(_meaning(builder, target).scale)
    depthwise = isinstance(attributes, DepthwiseConv2d)
    rows = np.moveaxis(weights.value, -1, 0) if depthwise else weights.value
    if accumulator_overflows(rows, data, factor):
        raise _unsupported(graph, node, "its sums could overflow the int32 accumulator")
    meaning = Quantization(scale, np.zeros(scale.shape, np.int32), None if scale.ndim == 0 else 0)
    names = (
        builder.constant(weights.name, weights.value, weights.quantization, weights.pattern),
        builder.constant(bias.name, data, meaning),
    )
    builder.node(node.name, attributes, (source, *names), target)


def _average_pool(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    """With another output scale it is a depthwise convolution whose weights all mean 1 / n."""
    source, target = _meaning(builder, node.inputs[0]), _meaning(builder, node.output)
    attributes = node.attributes
    assert isinstance(attributes, AveragePool2d)
    if _equal(source, target):
        builder.node(node.name, attributes, node.inputs, node.output)
        return
    if any(map(any, attributes.padding)):
        raise _unsupported(graph, node, "padded pooling must keep its input's quantization")
    channels = graph[node.output].shape[3]
    count = attributes.kernel[0] * attributes.kernel[1]
    ratio = float(source.scale) / float(target.scale)
    if count * channels > MAX_ELEMENTS >> 6 or not 2.0**-20 < ratio < 2.0**7 or count > 1 << 15:
        raise _unsupported(graph, node, f"a mean of {count} elements scaled by {ratio:.3g}")
    ones = np.ones((1, *attributes.kernel, channels), np.int8)
    zeros = np.zeros(channels, np.int32)
    names = (
        builder.constant(f"{node.name}/ones", ones, q.per_tensor(1 / count, 0)),
        builder.constant(f"{node.name}/bias", zeros, q.per_tensor(float(source.scale) / count, 0)),
    )
    convolution = DepthwiseConv2d(attributes.stride, activation=attributes.activation)
    builder.node(node.name, convolution, (node.inputs[0], *names), node.output)


def _binary(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    second = graph[node.inputs[1]]
    name = second.name
    if second.data is not None and second.quantization is not None:
        name = builder.constant(name, second.data, second.quantization)
    elif second.data is not None:
        values = second.value.astype(np.float64)
        made = q.activation_quantization(float(values.min()), float(values.max()))
        name = builder.constant(name, q.quantize_values(values, made), made)
    scales = [float(_meaning(builder, n).scale) for n in (node.inputs[0], name)]
    is_product = isinstance(node.attributes, Mul)
    factor = scales[0] * scales[1] if is_product else max(scales)
    if factor / float(_meaning(builder, node.output).scale) >= 1 << (13 if is_product else 19):
        raise _unsupported(graph, node, "its scales differ too much for int32")
    builder.node(node.name, node.attributes, (node.inputs[0], name), node.output)


def _unary(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    source, target = _meaning(builder, node.inputs[0]), _meaning(builder, node.output)
    assert isinstance(node.attributes, Unary)
    if float(source.scale) / float(target.scale) > greatest_ratio(node.attributes):
        raise _unsupported(graph, node, "its input scale is too large for its output scale")
    attributes = node.attributes
    if attributes.function == "table":
        entries = q.quantize_values(np.array(attributes.values), target)
        attributes = replace(attributes, values=tuple(int(v) for v in entries))
    builder.node(node.name, attributes, node.inputs, node.output)


def _concat(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    """Inputs that are held otherwise than the output are requantized."""
    target = _meaning(builder, node.output)
    inputs = []
    for position, name in enumerate(node.inputs):
        if not _equal(_meaning(builder, name), target):
            made = builder.activation(
                f"{node.output}/input_{position}", graph[name].shape, "int8", target
            )
            builder.node(made, Unary("identity"), (name,), made)
            name = made
        inputs.append(name)
    builder.node(node.name, node.attributes, tuple(inputs), node.output)


def _mean(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    source, target = _meaning(builder, node.inputs[0]), _meaning(builder, node.output)
    count = graph[node.inputs[0]].shape[1] * graph[node.inputs[0]].shape[2]
    if not mean_fits(count, source, target):
        raise _unsupported(graph, node, f"a mean of {count} elements with these scales")
    builder.node(node.name, node.attributes, node.inputs, node.output)


def _moving(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    """With another output scale the result is requantized."""
    source, target = _meaning(builder, node.inputs[0]), _meaning(builder, node.output)
    name = node.output
    if not _equal(source, target):
        name = builder.activation(f"{node.output}/kept", graph[name].shape, "int8", source)
        builder.node(f"{node.name}/kept", node.attributes, node.inputs, name)
        builder.node(node.name, Unary("identity"), (name,), node.output)
        return
    builder.node(node.name, node.attributes, node.inputs, name)


def _softmax(builder: GraphBuilder, graph: Graph, node: Node) -> None:
    output = _meaning(builder, node.output)
    close = abs(float(output.scale) * 256 - 1) < 0.01 and output.zero_point == -128
    if not close or not 2.0**-20 <= float(_meaning(builder, node.inputs[0]).scale) <= 2.0**4:
        raise _unsupported(graph, node, "its int8 output must have scale 1/256, zero point -128")
    tensor = builder.tensors[node.output]
    builder.tensors[node.output] = replace(tensor, quantization=SOFTMAX_OUTPUT)
    builder.node(node.name, node.attributes, node.inputs, node.output)


_OPS: dict[type[Attributes], Callable[[GraphBuilder, Graph, Node], None]] = {
    Add: _binary,
    AveragePool2d: _average_pool,
    Conv2d: _convolution,
    DepthwiseConv2d: _convolution,
    FullyConnected: _fully_connected,
    Reshape: _moving,
    Softmax: _softmax,
    Concat: _concat,
    Broadcast: _moving,
    MaxPool2d: _moving,
    Pad: _moving,
    ResizeBilinear: _moving,
    ResizeNearest: _moving,
    Transpose: _moving,
    TransposeConv2d: _convolution,
    Mean: _mean,
    Mul: _binary,
    Sub: _binary,
    Unary: _unary,
}
