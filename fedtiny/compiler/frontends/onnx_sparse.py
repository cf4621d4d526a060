"""ONNX's sparse initializers, decoded to the dense constants they stand for.

Source: ONNX's `SparseTensorProto`: values, and int64 indices that are linear `(stored,)` or one
coordinate a dimension `(stored, rank)`, in ascending order and each once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fedtiny.errors import UsageError

MAX_DECODED_ELEMENTS = 1 << 27
"""All sparse initializers of a file together may stand for this many elements."""

Reader = Callable[[onnx.TensorProto, str], NDArray[Any]]


def read_sparse(
    tensors: Iterable[onnx.SparseTensorProto], file: str, read: Reader
) -> dict[str, NDArray[Any]]:
    """Decode sparse initializers; what is not stored is an exact zero.

    Args:
        tensors: The file's records.
        file: What error messages call the file.
        read: Reads a dense tensor.

    Returns:
        Dense arrays by name.

    Raises:
        UsageError: A record contradicts itself, or they stand for too many elements.
        UnsupportedError: From `read`.
    """
    found: dict[str, NDArray[Any]] = {}
    budget = MAX_DECODED_ELEMENTS
    for tensor in tensors:
        name = tensor.values.name
        where = f"{file}: sparse constant {name!r}"
        shape = tuple(tensor.dims)
        size = math.prod(shape)
        if not shape or len(shape) > 8 or min(shape) < 1 or size > budget:
            raise UsageError(f"{where} has the shape {list(shape)}.")
        budget -= size
        values, indices = read(tensor.values, file), read(tensor.indices, file)
        if values.ndim != 1 or indices.dtype != np.int64:
            raise UsageError(f"{where} has values {list(values.shape)}, {indices.dtype} indices.")
        places = _linear(indices, shape, where)
        ascending = bool(np.all(np.diff(places) > 0))
        inside = places.size == 0 or (places[0] >= 0 and places[-1] < size)
        if places.size != values.size or not ascending or not inside:
            raise UsageError(f"{where}: its indices are out of range or out of order.")
        if name in found:
            raise UsageError(f"{where} is there twice.")
        dense = np.zeros(size, values.dtype)
        dense[places] = values
        found[name] = dense.reshape(shape)
    return found


def _linear(indices: NDArray[np.int64], shape: tuple[int, ...], where: str) -> NDArray[np.int64]:
    """Linear indices, whichever form the file has."""
    if indices.ndim == 1:
        return indices
    if indices.ndim != 2 or indices.shape[1] != len(shape):
        raise UsageError(f"{where} has indices of shape {list(indices.shape)}.")
    if np.any((indices < 0) | (indices >= np.array(shape))):
        raise UsageError(f"{where}: its indices are out of range or out of order.")
    linear: NDArray[np.int64] = np.ravel_multi_index(tuple(indices.T), shape).astype(np.int64)
    return linear
