"""Write a graph as a TensorFlow Lite file: float32, or int8 with int8 or float inputs and outputs.

Every tensor keeps its name, so that any of them can be compared with another runtime's. Padding
that is neither SAME nor VALID becomes an explicit PAD.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fedtiny.compiler.frontends.tflite_metadata import METADATA, NODES
from fedtiny.compiler.ir import (
    Add,
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Padding,
    Quantization,
    Relu,
    Reshape,
    Softmax,
    Tensor,
)
from fedtiny.errors import UnsupportedError, UsageError
from fedtiny.exporters import tflite_spatial as spatial
from fedtiny.exporters.tflite_operators import ACTIVATIONS, INT8_VERSIONS, OPERATORS
from fedtiny.exporters.tflite_sparse import sparse_form
from fedtiny.exporters.tolerance import TOLERANCE_KEY, tolerance_lsb
from fedtiny.files import new_file

SCHEMA_VERSION = 3
BUFFER_ALIGNMENT = 16
"""Bytes; the schema's `force_align`, which the generated Python writer ignores."""

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
}
_INT8_VERSIONS = {
    schema.BuiltinOperator.CONV_2D: 3,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 4,
    schema.BuiltinOperator.ADD: 2,
    schema.BuiltinOperator.AVERAGE_POOL_2D: 2,
    schema.BuiltinOperator.PAD: 2,
    schema.BuiltinOperator.SOFTMAX: 2,
    **INT8_VERSIONS,
    **spatial.INT8_VERSIONS,
}
PER_OUTPUT_VERSION = 12
"""Of FULLY_CONNECTED whose int8 weights have a scale for every output."""

Io = Literal["int8", "float32"]


def write(
    graph: Graph,
    path: Path,
    *,
    io: Io | None = None,
    sparse: bool = False,
    float16: bool = False,
) -> None:
    """Write the file, complete or not at all; the same graph gives the same bytes.

    Args:
        graph: After the float passes; float32 or int8.
        path: The `.tflite` file.
        io: What the application exchanges with the model. `"float32"` puts QUANTIZE and DEQUANTIZE
            at the ends of an int8 model; None is the model's own type.
        sparse: Store weights as sparse tensors where `tflite_sparse.sparse_form` has such a form.
        float16: Store float weights as float16, with a DEQUANTIZE for each.

    Raises:
        UnsupportedError: A node has no TensorFlow Lite form.
        UsageError: The path cannot be written, or the model has no such inputs and outputs.
    """
    data = to_bytes(graph, io=io, sparse=sparse, float16=float16)
    with new_file(path) as work:
        work.write_bytes(data)


def to_bytes(
    graph: Graph, *, io: Io | None = None, sparse: bool = False, float16: bool = False
) -> bytes:
    """The file's bytes; see `write`."""
    return _Writer(graph, io, sparse, float16).finish()


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes are aligned as the schema demands."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the generated API's name)
        vector = None
        if self.data is not None:
            data = bytes(self.data)
            builder.StartVector(1, len(data), BUFFER_ALIGNMENT)
            head = builder.head - len(data)
            builder.head = head
            builder.Bytes[head : head + len(data)] = data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


class _Quantization(schema.QuantizationParametersT):  # type: ignore[misc]
    """Scales and zero points, stored once for all tensors that have the same ones.

    Per channel they take 12 bytes, for weights, for what DENSIFY makes of them, and for biases; and
    every zero point of weights and biases is 0.
    """

    def __init__(self, source: Quantization, vectors: dict[tuple[str, bytes], int]) -> None:
        super().__init__()
        self.source = source
        self.vectors = vectors

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the generated API's name)
        scale = self._vector(builder, np.atleast_1d(self.source.scale))
        points = self._vector(builder, np.atleast_1d(self.source.zero_point).astype(np.int64))
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, scale)
        schema.QuantizationParametersAddZeroPoint(builder, points)
        schema.QuantizationParametersAddQuantizedDimension(builder, self.source.axis or 0)
        return int(schema.QuantizationParametersEnd(builder))

    def _vector(self, builder: flatbuffers.Builder, values: NDArray[Any]) -> int:
        key = values.dtype.str, values.tobytes()
        if key not in self.vectors:
            self.vectors[key] = builder.CreateNumpyVector(values)
        return self.vectors[key]


class _Writer:
    """Collects tensors, operators and buffers of one model."""

    def __init__(self, graph: Graph, io: Io | None, sparse: bool, float16: bool) -> None:
        self.graph = graph = spatial.expressible(graph)
        self.io = io
        self.sparse = sparse
        self.float16 = float16
        self.model = schema.ModelT()
        self.subgraph = schema.SubGraphT()
        self.model.version = SCHEMA_VERSION
        self.model.description = b"FedTiny"
        self.model.operatorCodes = []
        self.model.buffers = [_Buffer()]
        self.model.subgraphs = [self.subgraph]
        self.subgraph.name = graph.name
        self.subgraph.tensors = []
        self.subgraph.operators = []
        self.index: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        """By input or output of the graph, the tensor that the application sees."""
        self.codes: dict[tuple[int, int], int] = {}
        self.vectors: dict[tuple[str, bytes], int] = {}
        """Scales and zero points that are in the file, by type and content: many are equal."""

    def finish(self) -> bytes:
        for tensor in self.graph.tensors.values():
            self.constant_weights(tensor) if tensor.data is not None else self.tensor(tensor)
        for name in self.graph.inputs:
            self.ends[name] = self.end(name, schema.BuiltinOperator.QUANTIZE)
        for node in self.graph.nodes:
            self.node(node)
        for name in self.graph.outputs:
            self.ends[name] = self.end(name, schema.BuiltinOperator.DEQUANTIZE)
        self.subgraph.inputs = [self.ends[name] for name in self.graph.inputs]
        self.subgraph.outputs = [self.ends[name] for name in self.graph.outputs]
        self.model.signatureDefs = [self.signature()]
        self.model.metadata = [self.metadata()]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def signature(self) -> Any:
        made = schema.SignatureDefT()
        made.signatureKey = "serving_default"
        made.subgraphIndex = 0
        made.inputs = [self.tensor_map(name) for name in self.graph.inputs]
        made.outputs = [self.tensor_map(name) for name in self.graph.outputs]
        return made

    def tensor_map(self, name: str) -> Any:
        made = schema.TensorMapT()
        made.name = name
        made.tensorIndex = self.ends[name]
        return made

    def metadata(self) -> Any:
        """What the format has no place for; see `frontends.tflite_metadata`."""
        integers = any(self.graph[name].dtype == "int8" for name in self.graph.outputs)
        content: dict[str, Any] = {TOLERANCE_KEY: tolerance_lsb(self.graph)} if integers else {}
        content[NODES] = {n.output: n.name for n in self.graph.nodes if n.name != n.output}
        buffer = _Buffer()
        buffer.data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        made = schema.MetadataT()
        made.name = METADATA
        made.buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        return made

    def end(self, name: str, code: int) -> int:
        """The tensor that the application gives or gets for an input or output."""
        tensor = self.graph[name]
        if self.io in (None, tensor.dtype):
            return self.index[name]
        if (tensor.dtype, self.io) != ("int8", "float32") or tensor.quantization is None:
            raise UsageError(
                f"tensor {name!r} is {tensor.dtype}: its input/output type cannot be {self.io}."
            )
        real = self.tensor(Tensor(f"{name}/float32", tensor.shape, "float32"))
        if code == schema.BuiltinOperator.QUANTIZE:
            options, kind = schema.QuantizeOptionsT(), schema.BuiltinOptions.QuantizeOptions
            self.operator(code, [real], [self.index[name]], kind, options)
        else:
            options, kind = schema.DequantizeOptionsT(), schema.BuiltinOptions.DequantizeOptions
            self.operator(code, [self.index[name]], [real], kind, options, version=2)
        return real

    def constant_weights(self, tensor: Tensor) -> None:
        """Add a constant, packed where that was asked for and the operators that unpack it."""
        half = self.float16 and tensor.dtype == "float32" and len(tensor.shape) > 1
        dtype: Any = np.float16 if half else tensor.dtype
        form = sparse_form(tensor, self.graph, dtype) if self.sparse else None
        stored = tensor.name
        if form is not None:
            values = replace(tensor, name=f"{tensor.name}/sparse", data=form.values)
            packed = self.tensor(values, half)
            self.subgraph.tensors[packed].sparsity = form.parameters()
            stored = f"{tensor.name}/float16" if half else tensor.name
            unpacked = self.tensor(replace(tensor, name=stored, data=None), half)
            kind = schema.BuiltinOptions.DensifyOptions
            code, options = schema.BuiltinOperator.DENSIFY, schema.DensifyOptionsT()
            self.operator(code, [packed], [unpacked], kind, options, version=1)
        elif half:
            stored = f"{tensor.name}/float16"
            data = tensor.value.astype(np.float16)
            self.tensor(replace(tensor, name=stored, data=data), half)
        if stored != tensor.name:
            real = self.tensor(replace(tensor, data=None))
            kind = schema.BuiltinOptions.DequantizeOptions
            code, options = schema.BuiltinOperator.DEQUANTIZE, schema.DequantizeOptionsT()
            self.operator(code, [self.index[stored]], [real], kind, options, version=3)
        elif form is None:
            self.tensor(tensor)

    def tensor(self, tensor: Tensor, half: bool = False) -> int:
        """Add a tensor and, for a constant, its buffer; `half` says that it is float16."""
        made = schema.TensorT()
        made.name = tensor.name
        made.shape = list(tensor.shape)
        made.type = schema.TensorType.FLOAT16 if half else _TYPES[tensor.dtype]
        made.buffer = 0
        if tensor.data is not None:
            buffer = _Buffer()
            buffer.data = np.ascontiguousarray(tensor.data).tobytes()
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if tensor.quantization is not None:
            made.quantization = _Quantization(tensor.quantization, self.vectors)
        self.index[tensor.name] = len(self.subgraph.tensors)
        self.subgraph.tensors.append(made)
        return self.index[tensor.name]

    def constant(self, name: str, values: Sequence[Any]) -> int:
        """Add an int32 constant that the format wants and the graph does not have."""
        data: NDArray[np.int32] = np.array(values, np.int32)
        return self.tensor(Tensor(name, data.shape, "int32", data=data))

    def operator(
        self,
        code: int,
        inputs: list[int],
        outputs: list[int],
        kind: int,
        options: Any,
        version: int | None = None,
    ) -> None:
        if version is None:
            is_int8 = self.graph[self.graph.inputs[0]].dtype == "int8"
            version = _INT8_VERSIONS.get(code, 1) if is_int8 else 1
        if (code, version) not in self.codes:
            made = schema.OperatorCodeT()
            made.builtinCode = code
            made.deprecatedBuiltinCode = min(code, 127)
            made.version = version
            self.codes[code, version] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(made)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes[code, version]
        operator.inputs = inputs
        operator.outputs = outputs
        operator.builtinOptionsType = kind
        operator.builtinOptions = options
        self.subgraph.operators.append(operator)

    def node(self, node: Node) -> None:
        inputs = [self.index[name] for name in node.inputs]
        outputs = [self.index[name] for name in node.outputs]
        match node.attributes:
            case Conv2d() | DepthwiseConv2d():
                self.convolution(node, inputs, outputs)
            case FullyConnected(activation=activation):
                options = schema.FullyConnectedOptionsT()
                options.fusedActivationFunction = ACTIVATIONS[activation]
                code = schema.BuiltinOperator.FULLY_CONNECTED
                kind = schema.BuiltinOptions.FullyConnectedOptions
                scales = self.graph[node.inputs[1]].quantization
                per_output = scales is not None and scales.axis is not None
                version = PER_OUTPUT_VERSION if per_output else None
                self.operator(code, inputs, outputs, kind, options, version)
            case Add(activation=activation):
                options = schema.AddOptionsT()
                options.fusedActivationFunction = ACTIVATIONS[activation]
                options.potScaleInt16 = False
                kind = schema.BuiltinOptions.AddOptions
                self.operator(schema.BuiltinOperator.ADD, inputs, outputs, kind, options)
            case AveragePool2d():
                self.average_pool(node, inputs, outputs)
            case Reshape():
                options = schema.ReshapeOptionsT()
                shape = list(self.graph[node.output].shape)
                options.newShape = shape
                inputs.append(self.constant(f"{node.name}/shape", shape))
                kind = schema.BuiltinOptions.ReshapeOptions
                self.operator(schema.BuiltinOperator.RESHAPE, inputs, outputs, kind, options)
            case Softmax(beta=beta):
                options = schema.SoftmaxOptionsT()
                options.beta = beta
                kind = schema.BuiltinOptions.SoftmaxOptions
                self.operator(schema.BuiltinOperator.SOFTMAX, inputs, outputs, kind, options)
            case Relu(activation=activation):
                relu6 = activation == "relu6"
                code = schema.BuiltinOperator.RELU6 if relu6 else schema.BuiltinOperator.RELU
                self.operator(code, inputs, outputs, schema.BuiltinOptions.NONE, None)
            case _:
                write = {**OPERATORS, **spatial.OPERATORS}.get(type(node.attributes))
                if write is None:
                    raise UnsupportedError(
                        f"node {node.name!r}: {node.op} has no TensorFlow Lite form; "
                        "run the float passes (fold_batchnorm and others) first."
                    )
                write(self, node, inputs, outputs)

    def convolution(self, node: Node, inputs: list[int], outputs: list[int]) -> None:
        a = node.attributes
        assert isinstance(a, Conv2d | DepthwiseConv2d)
        kernel = self.graph[node.inputs[1]].shape[1:3]
        fitting = self.fitting_padding(node, kernel, a.stride, a.padding, a.dilation)
        if fitting is None:
            inputs[0] = self.pad(node, inputs[0], kernel, a.stride, a.padding, a.dilation)
            fitting = schema.Padding.VALID
        if isinstance(a, Conv2d):
            options = schema.Conv2DOptionsT()
            code, kind = schema.BuiltinOperator.CONV_2D, schema.BuiltinOptions.Conv2DOptions
        else:
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = 1
            code = schema.BuiltinOperator.DEPTHWISE_CONV_2D
            kind = schema.BuiltinOptions.DepthwiseConv2DOptions
        options.padding = fitting
        options.strideH, options.strideW = a.stride
        options.dilationHFactor, options.dilationWFactor = a.dilation
        options.fusedActivationFunction = ACTIVATIONS[a.activation]
        self.operator(code, inputs, outputs, kind, options)

    def average_pool(self, node: Node, inputs: list[int], outputs: list[int]) -> None:
        a = node.attributes
        assert isinstance(a, AveragePool2d)
        fitting = self.fitting_padding(node, a.kernel, a.stride, a.padding, (1, 1))
        if fitting is None:
            raise UnsupportedError(
                f"node {node.name!r}: average_pool2d with padding {a.padding} has no TensorFlow "
                "Lite form; SAME and VALID padding have."
            )
        options = schema.Pool2DOptionsT()
        options.padding = fitting
        options.strideH, options.strideW = a.stride
        options.filterHeight, options.filterWidth = a.kernel
        options.fusedActivationFunction = ACTIVATIONS[a.activation]
        code = schema.BuiltinOperator.AVERAGE_POOL_2D
        self.operator(code, inputs, outputs, schema.BuiltinOptions.Pool2DOptions, options)

    def fitting_padding(
        self,
        node: Node,
        kernel: tuple[int, ...],
        stride: tuple[int, int],
        padding: Padding,
        dilation: tuple[int, int],
    ) -> int | None:
        """SAME or VALID where it makes the same windows, else None."""
        size = self.graph[node.inputs[0]].shape[1:3]
        out = self.graph[node.output].shape[1:3]
        same, valid = True, True
        for i in range(2):
            span = dilation[i] * (kernel[i] - 1) + 1
            before = padding[i][0]
            same_out = -(-size[i] // stride[i])
            same_before = max((same_out - 1) * stride[i] + span - size[i], 0) // 2
            same &= out[i] == same_out and before == same_before
            valid &= before == 0 and out[i] == (size[i] - span) // stride[i] + 1
        if valid:
            return int(schema.Padding.VALID)
        return int(schema.Padding.SAME) if same else None

    def pad(
        self,
        node: Node,
        source: int,
        kernel: tuple[int, ...],
        stride: tuple[int, int],
        padding: Padding,
        dilation: tuple[int, int],
        fill: np.generic | None = None,
    ) -> int:
        """Add a PAD in front of a node, without the trailing rows that no window reads.

        With `fill` it is a PADV2 of that value rather than of zeros.
        """
        tensor = self.graph[node.inputs[0]]
        out = self.graph[node.output].shape[1:3]
        pads = [(0, 0)]
        for i in range(2):
            read = (out[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
            pads.append((padding[i][0], max(0, read - tensor.shape[1 + i] - padding[i][0])))
        pads.append((0, 0))
        shape = tuple(n + sum(p) for n, p in zip(tensor.shape, pads, strict=True))
        made = Tensor(f"{node.name}/padded", shape, tensor.dtype, tensor.quantization)
        output = self.tensor(made)
        inputs = [source, self.constant(f"{node.name}/paddings", pads)]
        if fill is None:
            code, kind = schema.BuiltinOperator.PAD, schema.BuiltinOptions.PadOptions
            self.operator(code, inputs, [output], kind, schema.PadOptionsT())
        else:
            data = np.array([fill])
            value = replace(made, name=f"{node.name}/fill", shape=(1,), data=data)
            inputs.append(self.tensor(value))
            code, kind = schema.BuiltinOperator.PADV2, schema.BuiltinOptions.PadV2Options
            self.operator(code, inputs, [output], kind, schema.PadV2OptionsT())
        return output
