"""Runs the runtime in this process: one kernel on numpy arrays, or a whole plan."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.errors import RunnerError
from fedtiny.runtime import build, table
from fedtiny.runtime.contract import Access, Kernel, Packed
from fedtiny.runtime.packing import layouts

Array = NDArray[np.generic]

STATUS = ("OK", "ARGUMENT", "ARENA", "SIZE", "STATE", "MODEL")
GUARD_BYTES = 32
"""Around every output row, scratch and state of a single kernel; must not change."""

_GUARD = 0xA5


class Call(ctypes.Structure):
    """`fedtiny_call`."""

    _fields_ = (
        ("params", ctypes.c_void_p),
        ("constants", ctypes.c_void_p),
        ("inputs", ctypes.POINTER(ctypes.c_void_p)),
        ("outputs", ctypes.POINTER(ctypes.c_void_p)),
        ("scratch", ctypes.c_void_p),
        ("state", ctypes.c_void_p),
        ("step", ctypes.c_uint16),
        ("layer", ctypes.c_uint16),
    )


@cache
def library() -> ctypes.CDLL:
    """The runtime as a shared library; with sanitizers where `$FEDTINY_SANITIZE` is 1."""
    return ctypes.CDLL(str(build.shared_library(os.environ.get("FEDTINY_SANITIZE") == "1")))


def raise_on(status: int, what: str) -> None:
    """Raise for a status other than FEDTINY_OK.

    Raises:
        RunnerError: It is an error.
    """
    if status != 0:
        name = STATUS[status] if 0 < status < len(STATUS) else str(status)
        raise RunnerError(f"{what} failed with FEDTINY_ERROR_{name}.")


def lay_out(kernel: Kernel, packed: Packed) -> tuple[NDArray[np.uint8], int]:
    """A layer's constants and parameter struct as one block.

    Returns:
        The bytes, and the offset of the struct.
    """
    block = bytearray()
    offsets = {}
    for constant in packed.constants:
        block += bytes(-len(block) % constant.alignment)
        offsets[constant.name] = len(block)
        block += np.ascontiguousarray(constant.array).tobytes()
    block += bytes(-len(block) % 8)
    where = len(block)
    block += table.encode_params(kernel, packed, offsets)
    return _aligned(np.frombuffer(bytes(block), np.uint8)), where


def run_kernel(
    kernel: Kernel,
    node: Node,
    graph: Graph,
    inputs: Sequence[Array],
    overlap: bool = False,
) -> Array:
    """Run one kernel over all steps of a node, each row in memory of its own.

    Args:
        kernel: A kernel that supports the node.
        node: The node.
        graph: Its graph.
        inputs: The activation inputs, with the graph's shapes and dtypes.
        overlap: Put the first output row of a step where its first input row lies, as the
            kernel's contract allows; every step then works on copies of its input rows.

    Returns:
        The output, with the graph's shape.

    Raises:
        RunnerError: The kernel returned an error or wrote outside of its memory.
    """
    packing = table.packing(kernel)
    contract = packing.contract(node, graph)
    constants, where = lay_out(kernel, packing.pack(node, graph))
    sources = [
        _rows(layouts.encode(graph[access.tensor], array), _count(graph, access))
        for array, access in zip(inputs, contract.inputs, strict=True)
    ]
    made = graph[node.output]
    size = layouts.row_bytes(made) * layouts.row_count(made)
    target = np.zeros(size, np.uint8).reshape(_count(graph, contract.output), -1)
    scratch, state = _guarded(contract.scratch_bytes), _guarded(contract.state_bytes)
    function = _kernel_function(kernel)
    for step in range(contract.steps):
        reads = [
            _address(rows[r]) if 0 <= r < len(rows) else None
            for rows, access in zip(sources, contract.inputs, strict=True)
            for r in _touched(access, step)
        ]
        blocks = {r: _guarded(target.shape[1]) for r in _touched(contract.output, step)}
        index = next((i for i, address in enumerate(reads) if address is not None), None)
        if overlap and index is not None:  # a step may read nothing but padding
            first = sources[0][_touched(contract.inputs[0], step)[index]]
            block = _guarded(max(target.shape[1], first.nbytes))
            block[GUARD_BYTES : GUARD_BYTES + first.nbytes] = first
            reads[index] = _address(block) + GUARD_BYTES
            blocks[contract.output.start + step * contract.output.advance] = block
        writes = [_address(b) + GUARD_BYTES if r < len(target) else None for r, b in blocks.items()]
        call = Call(
            _address(constants) + where,
            _address(constants),
            _pointers(reads),
            _pointers(writes),
            _address(scratch) + GUARD_BYTES,
            _address(state) + GUARD_BYTES,
            step,
            0,
        )
        raise_on(function(ctypes.byref(call)), f"kernel {kernel.name} on node {node.name!r}")
        if not all(map(_intact, (scratch, state, *blocks.values()))):
            raise RunnerError(f"kernel {kernel.name} wrote outside of its memory.")
        for r, block in blocks.items():
            if r < len(target):
                target[r] = block[GUARD_BYTES : GUARD_BYTES + target.shape[1]]
    return layouts.decode(made, target.reshape(-1).view(made.dtype))


def _count(graph: Graph, access: Access) -> int:
    return 1 if access.flat else layouts.row_count(graph[access.tensor])


def _rows(stored: Array, count: int) -> list[NDArray[np.uint8]]:
    """Every row's bytes, each in memory of its own, so that a sanitizer sees its end."""
    rows = stored.reshape(count, -1).view(np.uint8)
    return [_aligned(row) for row in rows]


def _touched(access: Access, step: int) -> range:
    first = access.start + step * access.advance
    return range(first, first + access.window)


def _address(array: Array) -> int:
    return array.ctypes.data


def _aligned(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy that begins at an address divisible by 8 (numpy's allocator gives 16)."""
    copy: NDArray[np.uint8] = np.empty(data.nbytes, np.uint8)
    copy[:] = data.reshape(-1)
    return copy


def _guarded(size: int) -> NDArray[np.uint8]:
    return np.full(size + 2 * GUARD_BYTES, _GUARD, np.uint8)


def _intact(block: NDArray[np.uint8]) -> bool:
    return bool(np.all(block[:GUARD_BYTES] == _GUARD) and np.all(block[-GUARD_BYTES:] == _GUARD))


def _pointers(addresses: Sequence[int | None]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(addresses))(*addresses)


def _kernel_function(kernel: Kernel) -> Callable[..., int]:
    function: Any = getattr(library(), kernel.symbol)
    function.argtypes, function.restype = [ctypes.POINTER(Call)], ctypes.c_int
    return function  # type: ignore[no-any-return]
