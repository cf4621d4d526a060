"""Write a graph as an ONNX file: float32, or int8 as QuantizeLinear/DequantizeLinear pairs (QDQ).

As is usual in ONNX, maps are `(N, C, H, W)` with any batch size N, and the inputs and outputs of an
int8 model are float32: the model quantizes and dequantizes them itself. Every activation keeps its
name; in a QDQ file `NAME/quantized` holds the integers that it is rounded to and `NAME/dequantized`
what they stand for, which at an output of the model bears the name itself. Every node of the graph
keeps its name too, at the operator that does its work.

QDQ files do not give the reference's integers exactly: a runtime either computes the layer in
floating point, or fuses it into an integer kernel that rescales its accumulator by a float32 factor
and rounds halves to even, where TensorFlow Lite multiplies by a 31-bit integer and rounds twice.
Single layers so differ by at most 1 LSB, at values near a half, and later layers see those
differences. Measured with onnxruntime 1.31, outputs over the whole int8 range: 5,536 random images
through ResNet-8 with random weights of densities 1 and 0.1, at most 3 LSB; 800 random images
through MLPerf Tiny's trained ResNet-8, at most 8 LSB in the logits, 89 % within 2 (LiteRT's own
XNNPACK delegate, over the latter 400: at most 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray
from onnx import TensorProto, helper

from fedtiny.compiler.frontends.onnx_model import PRODUCER
from fedtiny.compiler.ir import (
    Activation,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Relu,
    Reshape,
    Softmax,
    Tensor,
)
from fedtiny.errors import UnsupportedError
from fedtiny.exporters import onnx_spatial as spatial
from fedtiny.exporters.onnx_operators import OPERATORS, SWAPPED
from fedtiny.exporters.onnx_shapes import TO_NCHW, TO_NHWC, has_pixels, nchw, window
from fedtiny.exporters.tolerance import TOLERANCE_KEY, tolerance_lsb
from fedtiny.files import new_file

OPSET = 18
IR_VERSION = 8
"""With opset 18: read by onnxruntime 1.14 (2023) and later."""

SPARSE_INDEX_BYTES = 8
"""Of one stored element of a sparse initializer: the format has int64 indices only."""
SPARSE_OVERHEAD_BYTES = 128
"""More than the records of a sparse initializer take beside those of a dense one."""

BATCH = "N"
_HELPERS = ("Mul", "Transpose")
"""Operators that only prepare what a node works on; the node's name goes to the first other one."""

_TYPES = {
    "float32": TensorProto.FLOAT,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
}


def write(graph: Graph, path: Path, *, sparse: bool = False, float16: bool = False) -> None:
    """Write the file, complete or not at all; the same graph gives the same bytes.

    Args:
        graph: Float32 or int8.
        path: The `.onnx` file.
        sparse: Store weights as sparse initializers with linear indices where that is smaller.
        float16: Store float weights as float16, cast where they are read.

    Raises:
        UnsupportedError: A node has no ONNX form.
        UsageError: The path cannot be written.
    """
    data = to_bytes(graph, sparse=sparse, float16=float16)
    with new_file(path) as work:
        work.write_bytes(data)


def to_bytes(graph: Graph, *, sparse: bool = False, float16: bool = False) -> bytes:
    """The file's bytes; see `write`."""
    model = _Writer(graph, sparse, float16).finish()
    # Shape inference, which the full check adds, knows no operator that reads a sparse tensor.
    onnx.checker.check_model(model, full_check=not model.graph.sparse_initializer)
    return bytes(model.SerializeToString(deterministic=True))


def sparse_weights(graph: Graph, dtype: DTypeLike | None = None) -> list[str]:
    """Names of the weights that are smaller as a sparse initializer.

    Args:
        graph: The graph.
        dtype: What weights are stored as; None is their own type.
    """
    return [
        tensor.name
        for tensor in graph.tensors.values()
        if tensor.data is not None and is_smaller_sparse(tensor.data.astype(dtype or tensor.dtype))
    ]


def is_smaller_sparse(data: NDArray[Any]) -> bool:
    """Whether weights take fewer bytes as a sparse initializer than as a dense one."""
    if data.ndim < 2:
        return False
    stored = np.count_nonzero(data) * (data.itemsize + SPARSE_INDEX_BYTES)
    return bool(stored + SPARSE_OVERHEAD_BYTES < data.nbytes)


class _Writer:
    """Collects the nodes and initializers of one model."""

    def __init__(self, graph: Graph, sparse: bool, float16: bool) -> None:
        self.graph = graph = spatial.expressible(graph)
        self.sparse = sparse
        self.float16 = float16
        self.nodes: list[onnx.NodeProto] = []
        self.names = {node.name for node in graph.nodes}
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.sparse_initializers: dict[str, onnx.SparseTensorProto] = {}
        self.values: dict[str, str] = {}
        """By tensor of the graph, the ONNX value that its readers read."""

    def finish(self) -> onnx.ModelProto:
        for name in self.graph.inputs:
            quantized = self.graph[name].quantization is not None
            if quantized:
                self.quantize_dequantize(self.graph[name], name, f"{name}/dequantized")
            self.values[name] = f"{name}/dequantized" if quantized else name
        for node in self.graph.nodes:
            self.node(node)
        made = helper.make_graph(
            self.nodes,
            self.graph.name,
            [self.value_info(name) for name in self.graph.inputs],
            [self.value_info(name) for name in self.graph.outputs],
            list(self.initializers.values()),
            sparse_initializer=list(self.sparse_initializers.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            made, opset_imports=opsets, ir_version=IR_VERSION, producer_name=PRODUCER
        )
        if any(self.graph[name].dtype == "int8" for name in self.graph.outputs):
            helper.set_model_props(model, {TOLERANCE_KEY: str(tolerance_lsb(self.graph))})
        return model

    def value_info(self, name: str) -> onnx.ValueInfoProto:
        shape: list[str | int | None] = [BATCH, *nchw(self.graph[name].shape)[1:]]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def emit(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        name = f"{output}/{op}"
        while name in self.names:
            name += "_"
        made = helper.make_node(op, list(inputs), [output], name=name, **attributes)
        self.nodes.append(made)
        return output

    def initializer(self, name: str, data: NDArray[Any]) -> str:
        kind = helper.np_dtype_to_tensor_dtype(data.dtype)
        raw = data.astype(data.dtype.newbyteorder("<")).tobytes()
        made = helper.make_tensor(name, kind, data.shape, raw, raw=True)
        self.initializers[name] = made
        return name

    def weights(self, name: str, data: NDArray[Any]) -> str:
        """Add what a layer multiplies by, as a sparse initializer where that is smaller."""
        if not (self.sparse and is_smaller_sparse(data)):
            return self.initializer(name, data)
        places = np.flatnonzero(data).astype("<i8")
        values = data.reshape(-1)[places]
        kind = helper.np_dtype_to_tensor_dtype(data.dtype)
        raw = values.astype(data.dtype.newbyteorder("<")).tobytes()
        stored = helper.make_tensor(name, kind, values.shape, raw, raw=True)
        indices = helper.make_tensor(
            f"{name}/indices", TensorProto.INT64, places.shape, places.tobytes(), raw=True
        )
        made = helper.make_sparse_tensor(stored, indices, list(data.shape))
        self.sparse_initializers[name] = made
        return name

    def quantize_dequantize(self, tensor: Tensor, source: str, output: str) -> None:
        """Put an activation on its int8 grid."""
        q = tensor.quantization
        assert q is not None
        scale = self.initializer(f"{tensor.name}/scale", q.scale)
        zero = self.initializer(f"{tensor.name}/zero_point", q.zero_point.astype(np.int8))
        quantized = self.emit("QuantizeLinear", [source, scale, zero], f"{tensor.name}/quantized")
        self.emit("DequantizeLinear", [quantized, scale, zero], output)

    def constant(self, name: str, axes: Sequence[int] | None = None, rank: int = 0) -> str:
        """Add a constant, its axes permuted, dequantized where it is an integer.

        Args:
            name: The constant's.
            axes: Its dimensions in another order.
            rank: How many it has at least, by sizes of 1 in front.
        """
        tensor = self.graph[name]
        data = tensor.value.reshape((1,) * (rank - len(tensor.shape)) + tensor.shape)
        axes = range(data.ndim) if axes is None else axes
        data = data.transpose(axes)
        q = tensor.quantization
        if q is None and self.float16 and data.ndim > 1:
            stored = self.weights(f"{name}/float16", data.astype(np.float16))
            return self.emit("Cast", [stored], name, to=TensorProto.FLOAT)
        if q is None:
            return self.weights(name, data)
        integers = self.weights(f"{name}/quantized", data)
        scale = self.initializer(f"{name}/scale", q.scale)
        zero = self.initializer(f"{name}/zero_point", q.zero_point.astype(data.dtype))
        axis = {} if q.axis is None else {"axis": list(axes).index(q.axis)}
        return self.emit("DequantizeLinear", [integers, scale, zero], name, **axis)

    def node(self, node: Node) -> None:
        """Add a node, its activation, and the grid of its output."""
        tensor = self.graph[node.output]
        steps = [step for step in self.steps(node)]
        activation: Activation = getattr(node.attributes, "activation", "none")
        if activation != "none":
            steps.append(self.activation(activation))
        x = self.values[node.inputs[0]]
        value = final = node.output
        if tensor.quantization is not None:
            is_end = node.output in self.graph.outputs
            final = f"{node.output}/float" if is_end else node.output
            value = node.output if is_end else f"{node.output}/dequantized"
        working = next((i for i, step in enumerate(steps) if step[0] not in _HELPERS), 0)
        for i, (op, others, attributes) in enumerate(steps):
            last = i == len(steps) - 1
            again = sum(step[0] == op for step in steps[:i])
            output = final if last else f"{node.output}/{op.lower()}{again or ''}"
            swapped = attributes.pop(SWAPPED, False)
            inputs = [*others, x] if swapped else [x, *others]
            x = self.emit(op, inputs, output, **attributes)
            if i == working:
                self.nodes[-1].name = node.name
        if tensor.quantization is not None:
            self.quantize_dequantize(tensor, final, value)
        self.values[node.output] = value

    def activation(self, activation: Activation) -> tuple[str, list[str], dict[str, Any]]:
        if activation == "relu":
            return "Relu", [], {}
        low = self.initializer("relu6/min", np.array(0, np.float32))
        high = self.initializer("relu6/max", np.array(6, np.float32))
        return "Clip", [low, high], {}

    def steps(self, node: Node) -> list[tuple[str, list[str], dict[str, Any]]]:
        """The ONNX operators of a node: op, inputs after the first, attributes."""
        a = node.attributes
        match a:
            case Conv2d() | DepthwiseConv2d():
                kernel = self.graph[node.inputs[1]].shape
                depthwise = isinstance(a, DepthwiseConv2d)
                axes = (3, 0, 1, 2) if depthwise else TO_NCHW
                constants = [self.constant(node.inputs[1], axes), self.constant(node.inputs[2])]
                attributes = window(kernel[1:3], a.stride, a.padding)
                attributes["dilations"] = list(a.dilation)
                attributes["group"] = kernel[3] if isinstance(a, DepthwiseConv2d) else a.groups
                return [("Conv", constants, attributes)]
            case FullyConnected():
                constants = [self.constant(name) for name in node.inputs[1:]]
                return [("Gemm", constants, {"transB": 1})]
            case AveragePool2d():
                attributes = window(a.kernel, a.stride, a.padding)
                return [("AveragePool", [], {**attributes, "count_include_pad": 0})]
            case BatchNorm():
                constants = [self.constant(name) for name in node.inputs[1:]]
                return [("BatchNormalization", constants, {"epsilon": a.epsilon})]
            case Reshape():
                return self.reshape(node)
            case Softmax():
                beta = self.initializer(f"{node.name}/beta", np.array(a.beta, np.float32))
                axis = 1 if len(self.graph[node.output].shape) == 4 else -1
                return [("Mul", [beta], {}), ("Softmax", [], {"axis": axis})]
            case Relu():
                return []
            case _:
                steps = {**OPERATORS, **spatial.OPERATORS}.get(type(a))
                if steps is None:
                    raise UnsupportedError(f"node {node.name!r}: {node.op} has no ONNX form.")
                return steps(self, node)

    def reshape(self, node: Node) -> list[tuple[str, list[str], dict[str, Any]]]:
        """Reshape in our element order: around it, maps are transposed where that matters."""
        before, after = self.graph[node.inputs[0]].shape, self.graph[node.output].shape
        steps: list[tuple[str, list[str], dict[str, Any]]] = []
        if has_pixels(before):
            steps.append(("Transpose", [], {"perm": TO_NHWC}))
        wanted = after if has_pixels(after) else nchw(after)
        shape = self.initializer(f"{node.name}/shape", np.array([0, *wanted[1:]], np.int64))
        steps.append(("Reshape", [shape], {}))
        if has_pixels(after):
            steps.append(("Transpose", [], {"perm": TO_NCHW}))
        return steps
