"""The tables of a compiled model, read back from its image.

The layouts are those of `fedtiny_model`, `fedtiny_layer` and `fedtiny_tensor` in
`runtime/include/fedtiny/fedtiny.h`; a test compares them with what a compiler says.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from fedtiny.devices.elf import Elf

SYMBOL = "model"

MODEL_NUMBERS = "<5I10H"
LAYER_LAYOUT = "<IIIHHHHHHHhHHHhHHHh"
TENSOR_LAYOUT = "<HHI"
MODEL_POINTERS = 8
CALL_POINTERS = 6


@dataclass(frozen=True)
class LayerTable:
    """Where the output of a layer lies.

    Attributes:
        first_row: Index of its output tensor's first row in `ModelTables.row_offsets`.
        rows: Rows of that tensor.
        row_bytes: Bytes of one row.
        start: First row that step 0 writes.
        advance: Rows from one step to the next.
        window: Rows that a step writes.
        steps: Steps of the layer in one inference.
    """

    first_row: int
    rows: int
    row_bytes: int
    start: int
    advance: int
    window: int
    steps: int


@dataclass(frozen=True)
class ModelTables:
    """What a runner needs to know of a model.

    Attributes:
        kernels: Entry addresses, without the Thumb bit.
        layers: In the model's order.
        row_offsets: Arena offset of every row of every tensor, in bytes.
        arena_bytes: Size of the arena.
        arena_alignment: Of the arena.
        identity: CRC-32 over constants, program and row addresses, as the firmware computes it.
    """

    kernels: tuple[int, ...]
    layers: tuple[LayerTable, ...]
    row_offsets: tuple[int, ...]
    arena_bytes: int
    arena_alignment: int
    identity: int


def read_model(elf: Elf) -> ModelTables:
    """Read the model that an image holds.

    Raises:
        RunnerError: The image has no model, or its tables point outside of it.
    """
    pointer = "<Q" if elf.pointer_bytes == 8 else "<I"
    at = elf.address(SYMBOL)
    fixed = MODEL_POINTERS * elf.pointer_bytes
    raw = elf.read(at, fixed + struct.calcsize(MODEL_NUMBERS))
    pointers = [item[0] for item in struct.iter_unpack(pointer, raw[:fixed])]
    kernels_at, layers_at, tensors_at, rows_at, program_at = pointers[:5]
    constants_at = pointers[7]
    numbers = struct.unpack(MODEL_NUMBERS, raw[fixed:])
    arena_bytes, alignment, _, _, constants_bytes = numbers[:5]
    n_kernels, n_layers, n_tensors, n_rows, n_entries, _, _, _, shift, _ = numbers[5:]

    thumb = 1 if elf.pointer_bytes == 4 else 0
    kernels = elf.read(kernels_at, n_kernels * elf.pointer_bytes)
    tensors = list(_records(elf, tensors_at, n_tensors, TENSOR_LAYOUT))
    rows = elf.read(rows_at, 2 * n_rows)
    layers = []
    for record in _records(elf, layers_at, n_layers, LAYER_LAYOUT):
        steps, tensor, window, advance, start = (record[i] for i in (4, 7, 8, 9, 10))
        count, first_row, row_bytes = tensors[tensor]
        layers.append(LayerTable(first_row, count, row_bytes, start, advance, window, steps))

    identity = zlib.crc32(elf.read(constants_at, constants_bytes))
    identity = zlib.crc32(elf.read(program_at, 2 * n_entries), identity)
    return ModelTables(
        kernels=tuple(item[0] & ~thumb for item in struct.iter_unpack(pointer, kernels)),
        layers=tuple(layers),
        row_offsets=tuple(item[0] << shift for item in struct.iter_unpack("<H", rows)),
        arena_bytes=arena_bytes,
        arena_alignment=alignment,
        identity=zlib.crc32(rows, identity),
    )


def _records(elf: Elf, at: int, count: int, layout: str) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack(layout, elf.read(at, count * struct.calcsize(layout))))
