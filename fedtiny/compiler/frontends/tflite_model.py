"""A TFLite file as plain records: tensors, operators and the one subgraph, all indices checked.

The numbers of the fields are those of TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fedtiny.compiler.frontends.graph_builder import MAX_ELEMENTS
from fedtiny.compiler.frontends.tflite_flatbuffer import Flatbuffer, Table
from fedtiny.compiler.frontends.tflite_metadata import node_names
from fedtiny.compiler.ir import Quantization
from fedtiny.errors import UnsupportedError, UsageError

MAX_RANK = 8
MAX_ENDS = 64
"""Inputs and outputs together."""

DTYPES: dict[int, Any] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT8: np.int8,
}
"""Element types that can be read; the operators accept fewer."""

_TYPE_NAMES = {v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
_OP_NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}


@dataclass(frozen=True)
class TensorRecord:
    """One tensor of the file.

    Attributes:
        name: Not empty, not necessarily unique.
        shape: The batch dimension is 1 where the file leaves it open.
        type_name: For example ``"INT8"``.
        quantization: None when the file gives no scale.
        raw: The stored bytes of a constant, uint8; None for an activation.
        sparsity: Present when the bytes are a sparse encoding.
        is_variable: Whether it keeps its value between runs.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str
    quantization: Quantization | None
    raw: NDArray[np.uint8] | None
    sparsity: Table | None
    is_variable: bool

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def dense(self) -> NDArray[Any]:
        """The value of a constant that is stored densely.

        Raises:
            UsageError: The stored bytes do not make up the shape.
        """
        dtype = np.dtype(DTYPES[getattr(schema.TensorType, self.type_name)]).newbyteorder("<")
        assert self.raw is not None
        if self.raw.nbytes != self.size * dtype.itemsize:
            raise UsageError(
                f"tensor {self.name!r} has {self.raw.nbytes} bytes; "
                f"{self.type_name} {list(self.shape)} takes {self.size * dtype.itemsize}."
            )
        value: NDArray[Any] = self.raw.view(dtype).reshape(self.shape)
        return value


@dataclass(frozen=True)
class OperatorRecord:
    """One operator of the file.

    Attributes:
        name: What layers are called by: the name of its first output, or that of our metadata.
        op: The built-in operator's number.
        op_name: For example ``"CONV_2D"``; a custom operator's own name.
        version: The operator's version.
        inputs: Tensor indices; -1 for an optional input that is left out.
        outputs: Tensor indices.
        options_name: For example ``"Conv2DOptions"``.
        options: Its options; None when left out.
    """

    name: str
    op: int
    op_name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_name: str
    options: Table | None


@dataclass(frozen=True)
class ModelRecord:
    """The file's only subgraph."""

    tensors: tuple[TensorRecord, ...]
    operators: tuple[OperatorRecord, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_model(data: bytes, name: str) -> ModelRecord:
    """Read the records of a TFLite file.

    Args:
        data: The whole file.
        name: What error messages call it.

    Raises:
        UsageError: The file is damaged.
        UnsupportedError: It has more than one subgraph, or an element type that is not known.
    """
    if len(data) < 16 or data[4:8] != b"TFL3":
        raise UsageError(f"{name}: not a TFLite file: its identifier is not TFL3.")
    file = Flatbuffer(data, name)
    model = file.root()
    if model.number(0, "I") != 3:
        raise UnsupportedError(f"{name}: TFLite schema {model.number(0, 'I')}; only 3 is read.")
    subgraphs = model.tables(2)
    if len(subgraphs) != 1:
        raise UnsupportedError(f"{name}: {len(subgraphs)} subgraphs; exactly one is supported.")
    subgraph = subgraphs[0]
    buffers = model.tables(4)
    tensors = tuple(_tensor(file, table, i, buffers) for i, table in enumerate(subgraph.tables(0)))
    codes = [_operator_code(table) for table in model.tables(1)]
    operators = tuple(
        _operator(file, table, i, codes, tensors) for i, table in enumerate(subgraph.tables(3))
    )
    names = node_names(model)
    operators = tuple(replace(op, name=names.get(op.name, op.name)) for op in operators)
    record = ModelRecord(tensors, operators, subgraph.integers(1) or (), subgraph.integers(2) or ())
    ends = len(record.inputs) + len(record.outputs)
    if not record.inputs or not record.outputs or ends > MAX_ENDS:
        raise file.damaged(f"it has {len(record.inputs)} inputs, {len(record.outputs)} outputs")
    for index in (*record.inputs, *record.outputs):
        if not 0 <= index < len(tensors):
            raise file.damaged(f"input or output {index} is none of its {len(tensors)} tensors")
    return record


def _tensor(file: Flatbuffer, table: Table, index: int, buffers: tuple[Table, ...]) -> TensorRecord:
    name = table.text(3) or f"tensor_{index}"
    shape = _shape(file, table, name)
    kind = int(table.number(1, "b"))
    if kind not in DTYPES:
        raise UnsupportedError(
            f"{file.name}: tensor {name!r} is {_TYPE_NAMES.get(kind, kind)}; "
            "FLOAT32 and INT8 models are supported."
        )
    buffer = int(table.number(2, "I"))
    if buffer >= max(1, len(buffers)):
        raise file.damaged(f"tensor {name!r} names buffer {buffer} of {len(buffers)}")
    raw = buffers[buffer].array(0, np.uint8) if buffers else None
    if buffers and buffers[buffer].number(1, "Q") > 1:
        raise UnsupportedError(
            f"{file.name}: tensor {name!r} is stored outside the flatbuffer; "
            "constants must be inside it."
        )
    if table.number(10, "I"):
        raise UnsupportedError(f"{file.name}: tensor {name!r} is in another file.")
    return TensorRecord(
        name=name,
        shape=shape,
        type_name=_TYPE_NAMES[kind],
        quantization=_quantization(file, table.table(4), shape, name),
        raw=raw if raw is not None and raw.size else None,
        sparsity=table.table(6),
        is_variable=bool(table.number(5, "B")),
    )


def _shape(file: Flatbuffer, table: Table, name: str) -> tuple[int, ...]:
    shape = table.integers(0) or ()
    signature = table.integers(7) or ()
    if len(shape) > MAX_RANK:
        raise file.damaged(f"tensor {name!r} has {len(shape)} dimensions")
    if shape and (shape[0] == -1 or (len(signature) == len(shape) and signature[0] == -1)):
        shape = (1, *shape[1:])
    elements = 1
    for size in shape:
        elements *= max(size, 1)
        if size < 0 or elements > MAX_ELEMENTS:
            raise file.damaged(f"tensor {name!r} has the shape {list(shape)}")
    return shape


def _quantization(
    file: Flatbuffer, table: Table | None, shape: tuple[int, ...], name: str
) -> Quantization | None:
    scale = None if table is None else table.array(2, np.float32)
    if table is None or scale is None or scale.size == 0:
        return None
    points = table.array(3, np.int64)
    if points is None or points.size == 0:
        points = np.zeros(scale.size, np.int64)
    if points.size == 1 and scale.size > 1:
        points = np.broadcast_to(points, scale.shape)
    axis = int(table.number(6, "i"))
    broken = table.number(4, "B") != 0 or points.size != scale.size
    broken |= not np.all(np.isfinite(scale) & (scale > 0))
    broken |= bool(np.any(np.abs(points) > 255))
    if scale.size > 1:
        broken |= not 0 <= axis < len(shape) or shape[axis] != scale.size
    if broken:
        raise file.damaged(f"the quantization of tensor {name!r} makes no sense")
    if scale.size == 1:
        return Quantization(scale[0].astype(np.float32), points[0].astype(np.int32))
    return Quantization(scale.astype(np.float32), points.astype(np.int32), axis)


def _operator_code(table: Table) -> tuple[int, str, int]:
    op = max(int(table.number(0, "b")), int(table.number(3, "i")))
    op_name = _OP_NAMES.get(op, f"operator {op}")
    if op == schema.BuiltinOperator.CUSTOM:
        op_name = f"custom operator {table.text(1)!r}"
    return op, op_name, int(table.number(2, "i", 1))


def _operator(
    file: Flatbuffer,
    table: Table,
    index: int,
    codes: list[tuple[int, str, int]],
    tensors: tuple[TensorRecord, ...],
) -> OperatorRecord:
    code = int(table.number(0, "I"))
    if code >= len(codes):
        raise file.damaged(f"operator {index} has code {code} of {len(codes)}")
    inputs, outputs = table.integers(1) or (), table.integers(2) or ()
    for i in inputs:
        if not -1 <= i < len(tensors):
            raise file.damaged(f"operator {index} reads tensor {i} of {len(tensors)}")
    for i in outputs:
        if not 0 <= i < len(tensors):
            raise file.damaged(f"operator {index} makes tensor {i} of {len(tensors)}")
    name = tensors[outputs[0]].name if outputs else f"operator_{index}"
    kind = int(table.number(3, "B"))
    options_name = _OPTIONS_NAMES.get(kind, f"options {kind}")
    op, op_name, version = codes[code]
    options = table.table(4) if kind else None
    return OperatorRecord(name, op, op_name, version, inputs, outputs, options_name, options)


_OPTIONS_NAMES = {v: k for k, v in vars(schema.BuiltinOptions).items() if isinstance(v, int)}
