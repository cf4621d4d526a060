"""Write a plan as one file that libfedtiny loads; see `runtime/library/packed.h` for its layout."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.serialize import ModelTables, tables
from fedtiny.errors import UnsupportedError
from fedtiny.runtime.host_plan import layer_table, tensor_table
from fedtiny.runtime.library import listing

MAGIC, VERSION = b"\x89FedTiny", 1
ALIGNMENT = 64
TYPES = {"int8": 1, "float32": 2}
MOST_DIMENSIONS = 8

_HEADER = struct.Struct("<8s" + "I" * 29)
_CRC_FROM = 20
"""Where what the CRC-32 covers begins: behind it."""


def missing_kernels(plan: ExecutionPlan) -> tuple[str, ...]:
    """Kernels of a plan that libfedtiny does not have, sorted."""
    known = {kernel.name for part in listing.kernels() for kernel in part}
    return tuple(sorted({layer.kernel.name for layer in plan.layers} - known))


def write(plan: ExecutionPlan, path: Path) -> None:
    """Write the packed model; equal plans give equal bytes.

    Args:
        plan: The plan; libfedtiny has its kernels.
        path: Where to.
    """
    path.write_bytes(pack(plan))


def pack(plan: ExecutionPlan) -> bytes:
    """A plan as the bytes of a packed model.

    Raises:
        UnsupportedError: A tensor has more dimensions than the file can say.
    """
    model = tables(plan)
    strings = _Strings()
    kernels = np.array([strings.add(kernel.name) for kernel in model.kernels], "<u4")
    names = [*((name, name) for name in (*plan.graph.inputs, *plan.graph.outputs))]
    names += [(layer.name, layer.node.output) for layer in plan.layers]
    infos = b"".join(_info(strings.add(name), plan.graph, tensor) for name, tensor in names)
    sections = (
        bytes(strings.data),
        kernels.tobytes(),
        bytes(layer_table(model)),
        bytes(tensor_table(model)),
        np.array(model.row_address, "<u2").tobytes(),
        np.array(model.program, "<u2").tobytes(),
        np.array((*model.inputs, *model.outputs), "<u2").tobytes(),
        infos,
        model.constants,
    )
    return _file(model, sections)


def seal(data: bytes) -> bytes:
    """The same file with its size and its CRC-32 made right."""
    fixed = data[:12] + struct.pack("<I", len(data)) + data[16:]
    return fixed[:16] + struct.pack("<I", zlib.crc32(fixed[_CRC_FROM:])) + fixed[_CRC_FROM:]


def _file(model: ModelTables, sections: tuple[bytes, ...]) -> bytes:
    body = bytearray(_HEADER.size)
    where: list[int] = []
    for section in sections:
        body += bytes(-len(body) % ALIGNMENT)
        where += [len(body), len(section)]
        body += section
    numbers = (model.arena_alignment, model.pointers, model.counters, model.max_window)
    ports = (model.address_shift, model.n_counters, len(model.inputs), len(model.outputs))
    _HEADER.pack_into(body, 0, MAGIC, VERSION, 0, 0, *numbers, *ports, *where)
    return seal(bytes(body))


class _Strings:
    """Texts that end with a zero byte, each once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[str, int] = {}

    def add(self, text: str) -> int:
        """The place of a text."""
        if text not in self._known:
            self._known[text] = len(self.data)
            self.data += text.encode().replace(b"\0", b"?") + b"\0"
        return self._known[text]


def _info(name: int, graph: Graph, tensor: str) -> bytes:
    found = graph[tensor]
    if len(found.shape) > MOST_DIMENSIONS:
        raise UnsupportedError(
            f"tensor {tensor!r} has {len(found.shape)} dimensions; a packed model says at most "
            f"{MOST_DIMENSIONS}"
        )
    scale, zero_point = 0.0, 0
    if found.quantization is not None:
        scale = float(found.quantization.scale)
        zero_point = int(found.quantization.zero_point)
    shape = (*found.shape, *(0 for _ in range(MOST_DIMENSIONS - len(found.shape))))
    kind = TYPES[found.dtype]
    return struct.pack("<Iifi9I", name, kind, scale, zero_point, len(found.shape), *shape)
