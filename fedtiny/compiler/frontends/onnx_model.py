"""An ONNX file as checked records: the graph's nodes with typed attributes, and its constants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from fedtiny.compiler.frontends.graph_builder import MAX_ELEMENTS
from fedtiny.compiler.frontends.onnx_sparse import read_sparse
from fedtiny.errors import UnsupportedError, UsageError

MIN_OPSET, MAX_OPSET = 11, 23
MAX_ENDS = 64
"""Inputs and outputs together."""
PRODUCER = "FedTiny"
"""What our files say who wrote them."""

_T = onnx.TensorProto
_DTYPES: Mapping[int, tuple[Any, str]] = {
    _T.FLOAT: (np.float32, "float_data"),
    _T.FLOAT16: (np.float16, "int32_data"),
    _T.DOUBLE: (np.float64, "double_data"),
    _T.INT8: (np.int8, "int32_data"),
    _T.UINT8: (np.uint8, "int32_data"),
    _T.BOOL: (np.bool_, "int32_data"),
    _T.INT32: (np.int32, "int32_data"),
    _T.INT64: (np.int64, "int64_data"),
}
"""Element types that constants may have, and the field of a tensor that holds them unpacked."""


@dataclass(frozen=True)
class NodeRecord:
    """One node of the file.

    Attributes:
        file: What error messages call the file.
        name: The node's name, or that of its first output.
        op: For example ``"Conv"``; with its domain in front when that is not ONNX's own.
        inputs: Value names; empty for an optional input that is left out.
        outputs: Value names.
        attributes: By name.
    """

    file: str
    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, onnx.AttributeProto]

    def damaged(self, what: str) -> UsageError:
        """Make the error for a node that contradicts itself."""
        return UsageError(f"{self.file}: node {self.name!r} ({self.op}): {what}.")

    def unsupported(self, what: str) -> UnsupportedError:
        """Make the error for a node that is used in an unsupported way."""
        return UnsupportedError(f"{self.file}: node {self.name!r} ({self.op}): {what}.")

    def _attribute(self, name: str, kind: int) -> onnx.AttributeProto | None:
        found = self.attributes.get(name)
        if found is not None and found.type != kind:
            raise self.damaged(f"attribute {name!r} has the wrong type")
        return found

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        found = self._attribute(name, onnx.AttributeProto.INT)
        return default if found is None else int(found.i)

    def real(self, name: str, default: float) -> float:
        """A float attribute; always finite."""
        found = self._attribute(name, onnx.AttributeProto.FLOAT)
        value = default if found is None else float(found.f)
        if not math.isfinite(value):
            raise self.damaged(f"attribute {name!r} is {value}")
        return value

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        found = self._attribute(name, onnx.AttributeProto.STRING)
        return default if found is None else found.s.decode(errors="replace")

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, None when absent."""
        found = self._attribute(name, onnx.AttributeProto.INTS)
        return None if found is None else tuple(int(v) for v in found.ints)

    def tensor(self, name: str) -> NDArray[Any] | None:
        """A tensor attribute, None when absent."""
        found = self._attribute(name, onnx.AttributeProto.TENSOR)
        return None if found is None else read_tensor(found.t, self.file)

    def input(self, position: int) -> str:
        """An input's name, empty when it is left out."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def arity(self, least: int, most: int) -> None:
        """Check the number of inputs, and that the needed ones and an output are there."""
        wanted = least <= len(self.inputs) <= most and self.outputs and self.outputs[0]
        if not wanted or "" in self.inputs[:least]:
            raise self.damaged(f"it has {len(self.inputs)} inputs, {len(self.outputs)} outputs")


@dataclass(frozen=True)
class InputRecord:
    """One input of the graph; the batch dimension is 1 where the file leaves it open."""

    name: str
    shape: tuple[int, ...]
    dtype: int


@dataclass(frozen=True)
class ModelRecord:
    """The file's graph; `ours` says that FedTiny wrote it."""

    opset: int
    ours: bool
    nodes: tuple[NodeRecord, ...]
    constants: Mapping[str, NDArray[Any]]
    inputs: tuple[InputRecord, ...]
    outputs: tuple[str, ...]


def read_model(data: bytes, name: str) -> ModelRecord:
    """Read the records of an ONNX file.

    Args:
        data: The whole file.
        name: What error messages call it.

    Raises:
        UsageError: The file is damaged.
        UnsupportedError: Its operator set, or the storage or type of a constant, is not supported.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise UsageError(f"{name}: not a readable ONNX file: it is truncated or damaged.") from None
    if not model.HasField("graph") or not model.graph.node:
        raise UsageError(f"{name}: not a readable ONNX file: it holds no graph.")
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    opset = versions[0] if versions else 0
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise UnsupportedError(
            f"{name}: ONNX operator set {opset}; {MIN_OPSET} to {MAX_OPSET} are supported."
        )
    graph = model.graph
    constants = {_text(t.name, name): read_tensor(t, name) for t in graph.initializer}
    for key, value in read_sparse(graph.sparse_initializer, name, read_tensor).items():
        if _text(key, name) in constants:
            raise UsageError(f"{name}: constant {key!r} is there twice.")
        constants[key] = value
    inputs = tuple(_input(v, name) for v in graph.input if _text(v.name, name) not in constants)
    outputs = tuple(_text(v.name, name) for v in graph.output)
    if not (inputs and outputs and len(inputs) + len(outputs) <= MAX_ENDS):
        raise UsageError(f"{name}: its graph has {len(inputs)} inputs and {len(outputs)} outputs.")
    nodes = tuple(_node(n, i, name) for i, n in enumerate(graph.node))
    return ModelRecord(opset, model.producer_name == PRODUCER, nodes, constants, inputs, outputs)


def _node(node: onnx.NodeProto, index: int, file: str) -> NodeRecord:
    outputs = tuple(_text(o, file) for o in node.output)
    domain, op = _text(node.domain, file), _text(node.op_type, file)
    return NodeRecord(
        file=file,
        name=_text(node.name, file) or next((o for o in outputs if o), f"node_{index}"),
        op=_printable(op if domain in ("", "ai.onnx") else f"{domain}.{op}"),
        inputs=tuple(_text(i, file) for i in node.input),
        outputs=outputs,
        attributes={_text(a.name, file): a for a in node.attribute},
    )


def _input(value: onnx.ValueInfoProto, file: str) -> InputRecord:
    kind = value.type.tensor_type
    where = f"{file}: input {value.name!r}"
    if not value.name or not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise UsageError(f"{where} is not a tensor of known rank.")
    sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
    if sizes and sizes[0] in (0, -1):
        sizes[0] = 1
    names = [_printable(_text(d.dim_param, file)) or str(d.dim_value) for d in kind.shape.dim]
    if len(sizes) < 2 or sizes[0] != 1 or min(sizes) < 1:
        raise UnsupportedError(
            f"{where} has the shape [{', '.join(names)}]; a batch dimension of 1 (or an open one) "
            "and known other dimensions are supported."
        )
    if len(sizes) > 8 or math.prod(sizes) > MAX_ELEMENTS:
        raise UsageError(f"{where} has the shape [{', '.join(names)}], which is too large.")
    return InputRecord(value.name, tuple(sizes), kind.elem_type)


def _text(value: str | bytes, file: str) -> str:
    """A string of the file; protobuf gives bytes where it is not UTF-8."""
    if isinstance(value, bytes):
        raise UsageError(f"{file}: not a readable ONNX file: the name {value!r} is not UTF-8.")
    return value


def _printable(text: str) -> str:
    """The text, escaped where it would break a message's one line."""
    return text if text.isprintable() else repr(text)


def read_tensor(tensor: onnx.TensorProto, file: str) -> NDArray[Any]:
    """Read a constant; float16 ones become float32, which holds them exactly.

    Args:
        tensor: The file's record.
        file: What error messages call the file.

    Raises:
        UsageError: Its data do not make up its shape.
        UnsupportedError: It is in another file, or of a type that is not supported.
    """
    where = f"{file}: constant {tensor.name!r}"
    if tensor.data_location == _T.EXTERNAL or tensor.external_data:
        raise UnsupportedError(f"{where} is in another file; constants must be inside the model.")
    if tensor.data_type not in _DTYPES:
        known = tensor.data_type in _T.DataType.values()
        kind = _T.DataType.Name(tensor.data_type) if known else str(tensor.data_type)
        raise UnsupportedError(f"{where} is {kind}; float32 and int8 models are supported.")
    dtype, field = _DTYPES[tensor.data_type]
    shape = tuple(tensor.dims)
    if len(shape) > 8 or any(not 0 <= d <= MAX_ELEMENTS for d in shape):
        raise UsageError(f"{where} has the shape {list(shape)}.")
    if tensor.HasField("raw_data"):
        raw, kind_of = tensor.raw_data, np.dtype(dtype).newbyteorder("<")
        whole = len(raw) % kind_of.itemsize == 0
        values: NDArray[Any] = np.frombuffer(raw, kind_of) if whole else np.zeros(0, dtype)
    else:
        values = np.array(getattr(tensor, field), np.float64 if "int" not in field else np.int64)
        with np.errstate(over="ignore"):
            half = tensor.data_type == _T.FLOAT16  # held as its bits
            values = values.astype(np.uint16).view(np.float16) if half else values.astype(dtype)
    if values.size != math.prod(shape):
        raise UsageError(f"{where} has {values.size} values for the shape {list(shape)}.")
    kept: Any = np.float32 if tensor.data_type == _T.FLOAT16 else dtype
    return values.astype(kept, copy=False).reshape(shape)
