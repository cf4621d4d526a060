"""Small TFLite files made operator by operator, for what our exporter never writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
}


class TfliteFile:
    """Collects tensors and operators; every method that adds a tensor returns its index."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]
        self.subgraph = schema.SubGraphT()
        self.subgraph.tensors, self.subgraph.operators = [], []
        self.model.subgraphs = [self.subgraph]

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "int8",
        scale: float | Sequence[float] | None = None,
        zero: int = 0,
        axis: int = 0,
        data: np.ndarray | None = None,
        sparsity: Any = None,
    ) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), _TYPES[dtype], 0
        made.sparsity = sparsity
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            points = np.full(made.quantization.scale.shape, zero, np.int64)
            made.quantization.zeroPoint = points
            made.quantization.quantizedDimension = axis
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.subgraph.tensors.append(made)
        return len(self.subgraph.tensors) - 1

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        output: int,
        options: str = "",
        version: int = 1,
        **values: Any,
    ) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), [output]
        if options:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, options + "T")()
            for key, value in values.items():
                assert hasattr(made.builtinOptions, key), key
                setattr(made.builtinOptions, key, value)
        self.subgraph.operators.append(made)
        return output

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        self.subgraph.inputs, self.subgraph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1 << 12)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def csr(dense: np.ndarray) -> tuple[Any, np.ndarray]:
    """A matrix, or OHWI weights seen as `(O, HWI)` level by level, with its last level compressed.

    Returns:
        The `SparsityParametersT`, and the stored values.
    """
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = list(range(dense.ndim))
    sparsity.blockMap = []
    sparsity.dimMetadata = []
    for size in dense.shape[:-1]:
        level = schema.DimensionMetadataT()
        level.format, level.denseSize = schema.DimensionType.DENSE, size
        sparsity.dimMetadata.append(level)
    rows = dense.reshape(-1, dense.shape[-1])
    sparsity.dimMetadata.append(_compressed(rows != 0))
    return sparsity, rows[rows != 0]


def blocks_1x4(dense: np.ndarray) -> tuple[Any, np.ndarray]:
    """A matrix `(O, I)` in 1x4 blocks: rows dense, block columns compressed, blocks dense."""
    out, wide = dense.shape
    tiles = dense.reshape(out, wide // 4, 4)
    used = np.any(tiles != 0, axis=2)
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder, sparsity.blockMap = [0, 1, 2], [1]
    rows, block = schema.DimensionMetadataT(), schema.DimensionMetadataT()
    rows.format, rows.denseSize = schema.DimensionType.DENSE, out
    block.format, block.denseSize = schema.DimensionType.DENSE, 4
    sparsity.dimMetadata = [rows, _compressed(used), block]
    return sparsity, tiles[used].reshape(-1)


def _compressed(used: np.ndarray) -> Any:
    level = schema.DimensionMetadataT()
    level.format = schema.DimensionType.SPARSE_CSR
    segments, indices = schema.Int32VectorT(), schema.Uint8VectorT()
    segments.values = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int32)
    indices.values = np.nonzero(used)[1].astype(np.uint8)
    level.arraySegmentsType, level.arraySegments = schema.SparseIndexVector.Int32Vector, segments
    level.arrayIndicesType, level.arrayIndices = schema.SparseIndexVector.Uint8Vector, indices
    return level
