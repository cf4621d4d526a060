"""Weights as TensorFlow Lite's sparse tensors, which a DENSIFY operator unpacks at load.

Every dimension but the last is dense and the last one is compressed (CSR over rows of input
channels), either element by element or in blocks of 4 or 16 neighbours. Index vectors take the
smallest type that holds their values. It saves bytes of the file and nothing else: the runtime
computes with the dense tensor.

Only weights that every stock runtime then reads right are encoded: those of ordinary convolutions,
and of fully connected layers in floating point. LiteRT's default delegate refuses to prepare an
int8 fully connected layer whose weights come from DENSIFY, and TensorFlow Lite for Microcontrollers
reads any sparse tensor as if it were dense, with wrong results and no error.

Source: TensorFlow Lite's schema.fbs, `SparsityParameters`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fedtiny.compiler.ir import Conv2d, FullyConnected, Graph, Tensor

BLOCKS = (1, 4, 16)
OVERHEAD_BYTES = 512
"""More than the tables of a DENSIFY operator, its second tensor and its levels take in a file."""


@dataclass(frozen=True)
class Sparse:
    """A sparse tensor.

    Attributes:
        values: What is stored, row by row, `(stored,)`.
        segments: Where each row starts among its indices, `(rows + 1,)`.
        indices: Which elements, or blocks, of a row are stored.
        shape: Of the dense tensor.
        block: Neighbours along the last dimension that are stored together.
    """

    values: NDArray[Any]
    segments: NDArray[Any]
    indices: NDArray[Any]
    shape: tuple[int, ...]
    block: int

    @property
    def nbytes(self) -> int:
        """Bytes in a file, tables not counted."""
        return self.values.nbytes + self.segments.nbytes + self.indices.nbytes

    def parameters(self) -> Any:
        """The schema's `SparsityParameters`."""
        made = schema.SparsityParametersT()
        blocked = self.block > 1
        made.traversalOrder = list(range(len(self.shape) + blocked))
        made.blockMap = [len(self.shape) - 1] if blocked else []
        made.dimMetadata = [_dense_level(size) for size in self.shape[:-1]]
        level = schema.DimensionMetadataT()
        level.format = schema.DimensionType.SPARSE_CSR
        level.arraySegmentsType, level.arraySegments = _vector(self.segments)
        level.arrayIndicesType, level.arrayIndices = _vector(self.indices)
        made.dimMetadata.append(level)
        if blocked:
            made.dimMetadata.append(_dense_level(self.block))
        return made


def sparse_form(tensor: Tensor, graph: Graph, dtype: Any = None) -> Sparse | None:
    """The smallest sparse form of a constant, or None where it has to stay dense.

    Args:
        tensor: A constant of the graph.
        graph: The graph: who reads a constant decides whether it may be sparse.
        dtype: What its elements are stored as; None is its own type.

    Returns:
        A form that makes the file smaller and that stock runtimes read right, or None.
    """
    if not may_be_sparse(tensor, graph):
        return None
    data = tensor.value.astype(dtype or tensor.dtype)
    forms = [encode(data, block) for block in BLOCKS if data.shape[-1] % block == 0]
    best = min(forms, key=lambda form: form.nbytes)
    return best if best.nbytes + OVERHEAD_BYTES < data.nbytes else None


def may_be_sparse(tensor: Tensor, graph: Graph) -> bool:
    """Whether stock runtimes read this constant right when it is sparse."""
    readers = graph.consumers(tensor.name)
    if tensor.data is None or not readers:
        return False
    for node in readers:
        if len(node.inputs) < 2 or node.inputs[1] != tensor.name or node.inputs[0] == tensor.name:
            return False
        match node.attributes:
            case Conv2d(groups=1):
                pass
            case FullyConnected() if tensor.dtype == "float32":
                pass
            case _:
                return False
    return True


def encode(data: NDArray[Any], block: int) -> Sparse:
    """Encode an array.

    Args:
        data: Any shape whose last dimension is a multiple of `block`.
        block: Elements along the last dimension that are kept when one of them is not zero.
    """
    tiles = data.reshape(-1, data.shape[-1] // block, block)
    used = np.any(tiles != 0, axis=2)
    if not used.any():
        used[0, 0] = True  # to the runtimes, a tensor with an empty buffer is no constant
    segments = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return Sparse(
        tiles[used].reshape(-1),
        _narrow(segments),
        _narrow(np.nonzero(used)[1]),
        data.shape,
        block,
    )


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """The same values in the schema's smallest index type."""
    greatest = int(values.max(initial=0))
    kind: Any = np.uint8 if greatest < 1 << 8 else np.uint16 if greatest < 1 << 16 else np.int32
    return values.astype(kind)


def _vector(values: NDArray[Any]) -> tuple[int, Any]:
    kinds = schema.SparseIndexVector
    made: Any
    match values.dtype:
        case np.uint8:
            kind, made = kinds.Uint8Vector, schema.Uint8VectorT()
        case np.uint16:
            kind, made = kinds.Uint16Vector, schema.Uint16VectorT()
        case _:
            kind, made = kinds.Int32Vector, schema.Int32VectorT()
    made.values = values
    return kind, made


def _dense_level(size: int) -> Any:
    made = schema.DimensionMetadataT()
    made.format = schema.DimensionType.DENSE
    made.denseSize = size
    return made
