"""The one place where a plan becomes numbers: the tables of `fedtiny.h` and the constants block.

The C emitter writes these tables as source, the in-process host executor hands them to the same
runtime as memory; both therefore run the same model, byte for byte. The constants block is one C
struct without hidden padding: for every layer its parameter struct, then its arrays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.plan import FEED, ExecutionPlan, Layer
from fedtiny.runtime import table
from fedtiny.runtime.contract import Access, Constant, Kernel

FEED_ENTRY = 0x3FF
"""`FEDTINY_FEED`."""

PARAMS_ALIGNMENT = 4
"""Of every parameter struct, in bytes; `fedtiny_check` demands it."""

C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "float32": "float",
}


@dataclass(frozen=True)
class TensorRow:
    """One `fedtiny_tensor`: a view of a tensor.

    Attributes:
        tensor: Name in the graph.
        shape: The tensor's shape.
        rows: Rows of this view.
        first_row: Index of row 0 in the row addresses.
        row_bytes: Bytes of a row.
    """

    tensor: str
    shape: tuple[int, ...]
    rows: int
    first_row: int
    row_bytes: int


@dataclass(frozen=True)
class AccessRow:
    """One `fedtiny_access`; `tensor` is an index."""

    tensor: int
    window: int
    advance: int
    start: int


@dataclass(frozen=True)
class LayerRow:
    """One `fedtiny_layer`.

    Attributes:
        name: The layer's name.
        identifier: The name as part of a C identifier, unique in the model.
        kernel: Index into the kernels.
        params: Offset of the parameter struct in the constants.
        scratch: Arena offset; 0 when there is none.
        state: Arena offset; 0 when there is none.
        steps: Steps in one inference.
        counter: Index of the counter of its steps.
        inputs: One for every activation input.
        output: Rows that a step writes.
    """

    name: str
    identifier: str
    kernel: int
    params: int
    scratch: int
    state: int
    steps: int
    counter: int
    inputs: tuple[AccessRow, ...]
    output: AccessRow


@dataclass(frozen=True)
class Member:
    """One member of the constants struct; `values` or `array` is its content.

    Attributes:
        name: C identifier; empty for padding.
        c_type: For example ``"int8_t"`` or ``"fedtiny_conv2d_s8_params"``.
        offset: Bytes from the start of the constants.
        size_bytes: Size.
        comment: Shape and meaning.
        array: Of an array, its elements (1-D).
        values: Of a parameter struct, its fields in order.
        targets: Of a parameter struct, by offset field, the member it points to.
    """

    name: str
    c_type: str
    offset: int
    size_bytes: int
    comment: str = ""
    array: NDArray[np.generic] | None = None
    values: Mapping[str, int | float] | None = None
    targets: Mapping[str, str] | None = None


@dataclass(frozen=True)
class ModelTables:
    """Everything that `fedtiny_model` points to, as plain numbers.

    Attributes:
        kernels: Those the model uses, in order of first use.
        layers: In topological order.
        tensors: Views; indices everywhere else refer to these.
        row_address: Arena offset of every row, shifted right by `address_shift`.
        program: Encoded entries.
        inputs: Indices of tensors.
        outputs: Indices of tensors.
        members: The constants struct, in order, padding included.
        constants: The same, as bytes.
        constants_alignment: Of the constants block.
        arena_bytes: On the plan's target.
        arena_alignment: Of the arena.
        pointers: Arena offset of the row pointers, the last thing in the arena.
        counters: Arena offset of the counters.
        max_window: Number of row pointers.
        address_shift: Of row addresses.
        n_counters: Step counters that layers share.
    """

    kernels: tuple[Kernel, ...]
    layers: tuple[LayerRow, ...]
    tensors: tuple[TensorRow, ...]
    row_address: tuple[int, ...]
    program: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    members: tuple[Member, ...]
    constants: bytes
    constants_alignment: int
    arena_bytes: int
    arena_alignment: int
    pointers: int
    counters: int
    max_window: int
    address_shift: int
    n_counters: int


def tables(plan: ExecutionPlan) -> ModelTables:
    """Serialize a plan."""
    kernels = tuple(dict.fromkeys(layer.kernel.name for layer in plan.layers))
    by_name = {layer.kernel.name: layer.kernel for layer in plan.layers}
    block = _Constants()
    names = _identifiers([layer.name for layer in plan.layers])
    layers = tuple(
        LayerRow(
            name=layer.name,
            identifier=name,
            kernel=kernels.index(layer.kernel.name),
            params=block.add_layer(layer, name),
            scratch=layer.scratch_offset or 0,
            state=layer.state_offset or 0,
            steps=layer.contract.steps,
            counter=layer.counter,
            inputs=tuple(_access(plan, access) for access in layer.contract.inputs),
            output=_access(plan, layer.contract.output),
        )
        for layer, name in zip(plan.layers, names, strict=True)
    )
    block.finish()
    addresses, first_rows = shared(
        [[offset >> plan.address_shift for offset in view.offsets] for view in plan.placements]
    )
    tensors = [
        TensorRow(
            view.tensor, plan.graph[view.tensor].shape, len(view.offsets), first, view.row_bytes
        )
        for view, first in zip(plan.placements, first_rows, strict=True)
    ]
    return ModelTables(
        kernels=tuple(by_name[name] for name in kernels),
        layers=layers,
        tensors=tuple(tensors),
        row_address=addresses,
        program=tuple(
            FEED_ENTRY if entry.layer == FEED else (entry.count - 1) << 10 | entry.layer
            for entry in plan.program
        ),
        inputs=tuple(plan.placement(name) for name in plan.graph.inputs),
        outputs=tuple(plan.placement(name) for name in plan.graph.outputs),
        members=tuple(block.members),
        constants=bytes(block.data),
        constants_alignment=block.alignment,
        arena_bytes=plan.arena_bytes,
        arena_alignment=plan.arena_alignment,
        pointers=plan.pointers_offset,
        counters=plan.counters_offset,
        max_window=plan.max_window,
        address_shift=plan.address_shift,
        n_counters=plan.n_counters,
    )


def shared(lists: list[list[int]]) -> tuple[tuple[int, ...], list[int]]:
    """Lists of uint16 in one, in which they may overlap, and where each of them starts.

    From the last to the first: rows of a layer's output often lie where its input's rows were a
    step before, so that the end of one list is the start of the list before it.
    """
    found = bytearray()
    starts = []
    for values in reversed(lists):
        data = np.array(values, "<u2").tobytes()
        at = found.find(data)
        while at > 0 and at % 2:
            at = found.find(data, at + 1)
        if at < 0:
            size = min(len(data), len(found))
            while found[len(found) - size :] != data[:size]:
                size -= 2
            at = len(found) - size
            found += data[size:]
        starts.append(at // 2)
    return tuple(np.frombuffer(found, "<u2").tolist()), starts[::-1]


def identifier(name: str) -> str:
    """A name as part of a C identifier."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or "unnamed"


def _identifiers(names: list[str]) -> list[str]:
    """C identifiers for layer names, unique: a clash gets the layer's index."""
    found: list[str] = []
    for index, name in enumerate(names):
        text = identifier(name)
        text = f"layer_{text}" if text[0].isdigit() else text
        while text in found:
            text = f"{text}_layer{index}"
        found.append(text)
    return found


def _access(plan: ExecutionPlan, access: Access) -> AccessRow:
    tensor = plan.placement(access.tensor, access.flat)
    if access.flat:
        return AccessRow(tensor, 1, 0, 0)
    return AccessRow(tensor, access.window, access.advance, access.start)


class _Constants:
    """The constants block while it grows."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.data = bytearray()
        self.alignment = 4
        self._arrays: dict[tuple[str, bytes], Member] = {}

    def add_layer(self, layer: Layer, name: str) -> int:
        """Append a layer's parameter struct and arrays; returns the struct's offset."""
        dtype = table.param_struct(layer.kernel.params)
        self._pad(max(dtype.alignment, PARAMS_ALIGNMENT))
        start = len(self.data)
        # The struct comes first but holds the offsets of what follows: reserve its place.
        self.data += bytes(dtype.itemsize)
        place = len(self.members)
        members = {c.name: self._add_array(c, name) for c in layer.packed.constants}
        offsets = {field: member.offset for field, member in members.items()}
        self.data[start : start + dtype.itemsize] = table.encode_params(
            layer.kernel, layer.packed, offsets
        )
        struct = Member(
            name=f"{name}_params",
            c_type=f"fedtiny_{layer.kernel.params}_params",
            offset=start,
            size_bytes=dtype.itemsize,
            comment=f"{layer.name}: {layer.kernel.name}",
            values=table.param_values(layer.kernel, layer.packed, offsets),
            targets={field: member.name for field, member in members.items() if member.name},
        )
        self.members.insert(place, struct)
        return start

    def finish(self) -> None:
        """Pad to the size that C gives a struct of this alignment."""
        self._pad(self.alignment)

    def _add_array(self, constant: Constant, layer: str) -> Member:
        array = np.ascontiguousarray(constant.array).reshape(-1)
        dtype = array.dtype.newbyteorder("<")
        content = array.astype(dtype).tobytes()
        key = dtype.str, content
        if not content:  # a sparse layer without nonzeros: C has no empty arrays
            return Member("", C_TYPES[array.dtype.name], len(self.data), 0)
        alignment = max(constant.alignment, dtype.itemsize)
        known = self._arrays.get(key)
        if known is not None and known.offset % alignment == 0:
            return known
        self._pad(alignment)
        member = Member(
            name=f"{layer}_{constant.name}",
            c_type=C_TYPES[array.dtype.name],
            offset=len(self.data),
            size_bytes=len(content),
            comment=constant.comment,
            array=array,
        )
        self.members.append(member)
        self._arrays[key] = member
        self.data += content
        return member

    def _pad(self, alignment: int) -> None:
        self.alignment = max(self.alignment, alignment)
        missing = -len(self.data) % alignment
        if missing:
            self.members.append(Member("", "uint8_t", len(self.data), missing))
            self.data += bytes(missing)
