"""The state of reading one TFLite model: which tensors are constants, activations or aliases."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fedtiny.compiler import quantization as q
from fedtiny.compiler.frontends.graph_builder import GraphBuilder
from fedtiny.compiler.frontends.tflite_flatbuffer import Table
from fedtiny.compiler.frontends.tflite_model import (
    DTYPES,
    ModelRecord,
    OperatorRecord,
    TensorRecord,
)
from fedtiny.compiler.frontends.tflite_sparse import densify
from fedtiny.compiler.ir import Attributes, DType, Pattern, Quantization
from fedtiny.errors import UnsupportedError, UsageError

MAX_DECODED_ELEMENTS = 1 << 27
"""All sparse constants of a file together may stand for this many elements."""


@dataclass(frozen=True)
class Constant:
    """A constant's value and meaning."""

    name: str
    data: NDArray[Any]
    quantization: Quantization | None
    pattern: Pattern | None = None


@dataclass(frozen=True)
class Source:
    """An activation that an operator reads.

    Attributes:
        index: The file's tensor index.
        name: The tensor's name in the graph.
        shape: Its shape.
        dtype: float32 or int8.
        quantization: Present when int8.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None


class Importer:
    """Collects the graph while the operators are visited in the file's order.

    Args:
        model: The file's records.
        name: The model's name, also what error messages call the file.
    """

    def __init__(self, model: ModelRecord, name: str) -> None:
        self.model = model
        self.builder = GraphBuilder(name)
        self.sources: dict[int, Source] = {}
        self.constants: dict[int, Constant] = {}
        self.edges: dict[int, str] = {}
        self.lookups: dict[int, tuple[Source, int]] = {}
        """By int32 tensor, the activation that it is, and what is added to it: a table's index."""
        self._added: dict[tuple[int, str], str] = {}
        self._decoded = 0
        self._readers = Counter(i for op in model.operators for i in op.inputs)
        self._readers.update(model.outputs)

    def damaged(self, op: OperatorRecord, what: str) -> UsageError:
        """Make the error for an operator that contradicts itself."""
        return UsageError(f"{self.builder.name}: node {op.name!r} ({op.op_name}): {what}.")

    def unsupported(self, op: OperatorRecord, what: str) -> UnsupportedError:
        """Make the error for an operator that is used in an unsupported way."""
        return UnsupportedError(f"{self.builder.name}: node {op.name!r} ({op.op_name}): {what}.")

    def readers(self, index: int) -> int:
        """How often a tensor is read by operators or as an output of the model."""
        return self._readers[index]

    def options(self, op: OperatorRecord, name: str) -> Table:
        """The operator's options, which must be of the named type."""
        if op.options is None or op.options_name != name:
            raise self.damaged(op, f"its options are {op.options_name}, not {name}")
        return op.options

    def arity(self, op: OperatorRecord, least: int, most: int) -> None:
        """Check the number of inputs, and that there is one output."""
        if not least <= len(op.inputs) <= most or len(op.outputs) != 1:
            raise self.damaged(op, f"it has {len(op.inputs)} inputs and {len(op.outputs)} outputs")

    # Constants

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's value is stored, or computed from what is stored."""
        return index in self.constants or self.model.tensors[index].raw is not None

    def constant(self, op: OperatorRecord, position: int) -> Constant:
        """The constant at an input position of an operator."""
        index = op.inputs[position] if position < len(op.inputs) else -1
        if index < 0 or not self.is_constant(index):
            raise self.unsupported(op, f"input {position} must be a constant")
        if index not in self.constants:
            self.constants[index] = self._read_constant(self.model.tensors[index])
        return self.constants[index]

    def _read_constant(self, record: TensorRecord) -> Constant:
        if record.sparsity is None or record.raw is None:
            return Constant(record.name, record.dense(), record.quantization)
        self._decoded += record.size
        if self._decoded > MAX_DECODED_ELEMENTS:
            raise UsageError(
                f"{self.builder.name}: its sparse constants stand for more than "
                f"{MAX_DECODED_ELEMENTS} elements."
            )
        dtype = np.dtype(DTYPES[getattr(schema.TensorType, record.type_name)]).newbyteorder("<")
        if record.raw.nbytes % dtype.itemsize:
            raise UsageError(f"tensor {record.name!r} has {record.raw.nbytes} bytes of values.")
        data = densify(record.raw.view(dtype), record.sparsity, record.shape, record.name)
        return Constant(record.name, data, record.quantization)

    def add_constant(self, op: OperatorRecord, position: int, constant: Constant) -> str:
        """Put a constant into the graph once for each of its readers' shapes."""
        index = op.inputs[position] if position < len(op.inputs) else -1
        key = (index, str(constant.data.shape))
        if index < 0 or key not in self._added:
            name = self.builder.constant(
                constant.name, constant.data, constant.quantization, constant.pattern
            )
            self._added[key] = name
        return self._added[key]

    # Activations

    def define(self, index: int, name: str) -> None:
        """Say that the file's tensor is the graph's tensor `name`."""
        record, tensor = self.model.tensors[index], self.builder.tensors[name]
        if index in self.sources or index in self.edges or self.is_constant(index):
            raise UsageError(f"{self.builder.name}: tensor {record.name!r} is made twice.")
        self.sources[index] = Source(index, name, record.shape, tensor.dtype, tensor.quantization)

    def add_activation(self, index: int) -> str:
        """Add the file's tensor to the graph as a run-time tensor; returns its name."""
        record = self.model.tensors[index]
        where = f"{self.builder.name}: tensor {record.name!r}"
        if record.type_name not in ("FLOAT32", "INT8"):
            raise UnsupportedError(
                f"{where} is {record.type_name}; run-time tensors must be FLOAT32 or INT8."
            )
        if len(record.shape) < 2 or record.shape[0] != 1 or 0 in record.shape:
            raise UnsupportedError(
                f"{where} has the shape {list(record.shape)}; a batch dimension of 1 and at least "
                "one more dimension are supported."
            )
        if record.is_variable:
            raise UnsupportedError(f"{where} keeps its value between runs, which is not supported.")
        quantization = None
        if record.type_name == "INT8":
            quantization = record.quantization
            if quantization is None or quantization.axis is not None:
                raise UnsupportedError(f"{where} is INT8 without one scale for the whole tensor.")
            if not q.INT8_MIN <= int(quantization.zero_point) <= q.INT8_MAX:
                raise UsageError(f"{where} has the zero point {int(quantization.zero_point)}.")
        dtype = cast(DType, record.type_name.lower())
        return self.builder.activation(record.name, record.shape, dtype, quantization)

    def source(self, op: OperatorRecord, position: int = 0) -> Source:
        """The activation at an input position of an operator."""
        index = op.inputs[position]
        if index in self.edges:
            raise self.unsupported(op, "it reads a dequantized value; only outputs may be float32")
        if index not in self.sources:
            why = "is a constant" if index >= 0 and self.is_constant(index) else "is not made yet"
            why = "is int32" if index in self.lookups else why
            raise self.unsupported(op, f"input {position} {why}")
        return self.sources[index]

    def make(
        self,
        op: OperatorRecord,
        attributes: Attributes,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
    ) -> None:
        """Append the operator's node.

        Args:
            op: The operator.
            attributes: What it becomes.
            inputs: Names in the graph, the activation first.
            shape: What the output's shape must be.
        """
        record = self.model.tensors[op.outputs[0]]
        if record.shape != shape:
            made = f"its output is {list(record.shape)}, its inputs make {list(shape)}"
            raise self.damaged(op, made)
        self.define(op.outputs[0], name := self.add_activation(op.outputs[0]))
        dtype = self.builder.tensors[name].dtype
        if dtype != self.builder.tensors[inputs[0]].dtype:
            raise self.unsupported(op, f"input and output differ in type; the output is {dtype}")
        self.builder.node(op.name, attributes, inputs, name)

    def fuse(self, op: OperatorRecord, activation: str) -> bool:
        """Fuse an activation into the node before it; False where that is not exact."""
        source = self.source(op)
        record = self.model.tensors[op.outputs[0]]
        last = self.builder.producer(source.name)
        if last is None or self.readers(source.index) != 1:
            return False
        if getattr(last.attributes, "activation", "") != "none" or record.shape != source.shape:
            return False
        name = self.add_activation(op.outputs[0])
        fused = replace(last.attributes, activation=activation)  # type: ignore[call-arg]
        made = replace(last, attributes=fused, outputs=(name,))
        self.builder.replace_producer(source.name, made)
        self.define(op.outputs[0], name)
        return True
