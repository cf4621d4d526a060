"""TFLite's sparse encoding of a constant, decoded to the dense tensor it stands for.

Source: TensorFlow Lite's schema.fbs, `SparsityParameters`, after the TACO format (dimensions in
traversal order, blocked dimensions split in two, each level dense or compressed).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.frontends.tflite_flatbuffer import Table
from fedtiny.errors import UsageError

_DENSE, _COMPRESSED = 0, 1
_INDEX_DTYPES: dict[int, Any] = {1: np.int32, 2: np.uint16, 3: np.uint8}


def densify(
    values: NDArray[Any], sparsity: Table, shape: tuple[int, ...], name: str
) -> NDArray[Any]:
    """Decode a sparse constant; what is not stored is an exact zero.

    Args:
        values: The stored elements, `(stored,)`.
        sparsity: The file's `SparsityParameters` table.
        shape: The dense shape.
        name: The tensor's name, for messages.

    Returns:
        The dense array, of `values`' dtype.

    Raises:
        UsageError: The encoding contradicts itself or the shape.
    """
    order = sparsity.integers(0) or ()
    block_map = sparsity.integers(1) or ()
    levels = sparsity.tables(2)
    rank = len(shape)
    if sorted(order) != list(range(rank + len(block_map))) or len(levels) != len(order):
        raise _broken(name, f"traversal order {list(order)} for shape {list(shape)}")
    if len(set(block_map)) != len(block_map) or any(not 0 <= d < rank for d in block_map):
        raise _broken(name, f"block map {list(block_map)}")
    blocks = _block_sizes(order, block_map, levels, shape, name)
    sizes = [n // b for n, b in zip(shape, blocks, strict=True)]
    sizes += [blocks[d] for d in block_map]
    coordinates: dict[int, NDArray[np.int64]] = {}
    limit, count = int(np.prod(shape, dtype=np.int64)), 1
    for dimension, level in zip(order, levels, strict=True):
        repeats, index = _expand(level, sizes[dimension], count, limit, name)
        coordinates = {d: np.repeat(c, repeats) for d, c in coordinates.items()}
        coordinates[dimension] = index
        count = index.size
    if count != values.size:
        raise _broken(name, f"{values.size} values for {count} places")
    for j, d in enumerate(block_map):
        coordinates[d] = coordinates[d] * blocks[d] + coordinates[rank + j]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(coordinates[d] for d in range(rank))] = values
    return dense


def _block_sizes(
    order: tuple[int, ...],
    block_map: tuple[int, ...],
    levels: tuple[Table, ...],
    shape: tuple[int, ...],
    name: str,
) -> list[int]:
    """The block size of every dimension, 1 where it is not blocked."""
    blocks = [1] * len(shape)
    for j, d in enumerate(block_map):
        level = levels[order.index(len(shape) + j)]
        size = int(level.number(1, "i"))
        if level.number(0, "b") != _DENSE or size < 1 or shape[d] % size:
            raise _broken(name, f"blocks of {size} along a dimension of {shape[d]}")
        blocks[d] = size
    return blocks


def _expand(
    level: Table, size: int, count: int, limit: int, name: str
) -> tuple[NDArray[np.int64] | int, NDArray[np.int64]]:
    """How often each place so far repeats at this level, and the index of each new place."""
    kind = int(level.number(0, "b"))
    if kind == _DENSE:
        if int(level.number(1, "i")) != size or count * size > limit:
            raise _broken(name, f"a dense level of {level.number(1, 'i')} for size {size}")
        return size, np.tile(np.arange(size, dtype=np.int64), count)
    if kind != _COMPRESSED:
        raise _broken(name, f"level format {kind}")
    segments, index = _indices(level, 2, name), _indices(level, 4, name)
    if segments.size != count + 1 or segments[0] != 0 or segments[-1] != index.size:
        raise _broken(name, f"{segments.size} segments for {count} rows")
    repeats = np.diff(segments)
    if np.any(repeats < 0) or np.any((index < 0) | (index >= size)) or index.size > limit:
        raise _broken(name, "segments or indices out of range")
    return repeats, index


def _indices(level: Table, field: int, name: str) -> NDArray[np.int64]:
    kind, table = int(level.number(field, "B")), level.table(field + 1)
    if kind not in _INDEX_DTYPES or table is None:
        raise _broken(name, f"index vector type {kind}")
    found = table.array(0, _INDEX_DTYPES[kind])
    return np.zeros(0, np.int64) if found is None else found.astype(np.int64)


def _broken(name: str, what: str) -> UsageError:
    return UsageError(f"the sparse encoding of tensor {name!r} is damaged: {what}.")
