"""Runs a whole plan in this process, through the same executor and tables as on a device."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.serialize import AccessRow, ModelTables, tables
from fedtiny.errors import RunnerError, UsageError
from fedtiny.runtime import host
from fedtiny.runtime.host import Array, Call
from fedtiny.runtime.packing import layouts

Tap = Callable[[str, int, NDArray[np.uint8]], None]
"""Given a tensor's name, a row's number and a copy of its bytes, whenever a step wrote the row."""

_GUARD = 0xA5
_GUARD_BYTES = 64
_U16, _U32, _POINTER = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_void_p


class Access(ctypes.Structure):
    """`fedtiny_access`."""

    _fields_ = (("tensor", _U16), ("window", _U16), ("advance", _U16), ("start", ctypes.c_int16))


class TensorView(ctypes.Structure):
    """`fedtiny_tensor`."""

    _fields_ = (("rows", _U16), ("first_row", _U16), ("row_bytes", _U32))


class Layer(ctypes.Structure):
    """`fedtiny_layer`."""

    _fields_ = (
        *((name, _U32) for name in ("params", "scratch", "state")),
        *((name, _U16) for name in ("kernel", "steps", "inputs", "counter")),
        ("output", Access),
        ("input", Access * 2),
    )


class Model(ctypes.Structure):
    """`fedtiny_model`."""

    _fields_ = (
        *(
            (name, _POINTER)
            for name in ("kernels", "layers", "tensors", "row_address", "program", "inputs")
        ),
        *((name, _POINTER) for name in ("outputs", "constants")),
        *((name, _U32) for name in ("arena_bytes", "arena_alignment", "pointers", "counters")),
        ("constants_bytes", _U32),
        *((name, _U16) for name in ("n_kernels", "n_layers", "n_tensors", "n_rows", "n_entries")),
        *((name, _U16) for name in ("n_inputs", "n_outputs", "max_window", "address_shift")),
        ("n_counters", _U16),
    )


class Hooks(ctypes.Structure):
    """`fedtiny_hooks`."""

    _fields_ = (("before", _POINTER), ("after", _POINTER), ("context", _POINTER))


_HOOK = ctypes.CFUNCTYPE(None, _POINTER, ctypes.POINTER(Call))


class HostModel:
    """A `fedtiny_model` in this process's memory; keeps alive what it points to.

    Attributes:
        struct: The C struct; fields may be changed by tests.
        parts: By field of the struct, the array that it points to.
    """

    def __init__(self, model: ModelTables) -> None:
        """Lay out the tables of a plan.

        Raises:
            RunnerError: A kernel is not portable C.
        """
        runtime = host.library()
        missing = [k.name for k in model.kernels if not hasattr(runtime, k.symbol)]
        if missing:
            raise RunnerError(f"kernels {', '.join(missing)} do not run on this machine.")
        kernels = [ctypes.cast(getattr(runtime, k.symbol), _POINTER) for k in model.kernels]
        self.parts: dict[str, Any] = {
            "kernels": (_POINTER * len(kernels))(*kernels),
            "layers": layer_table(model),
            "tensors": tensor_table(model),
            "row_address": (_U16 * len(model.row_address))(*model.row_address),
            "program": (_U16 * len(model.program))(*model.program),
            "inputs": (_U16 * len(model.inputs))(*model.inputs),
            "outputs": (_U16 * len(model.outputs))(*model.outputs),
            "constants": _aligned(len(model.constants)),
        }
        self.parts["constants"][:] = np.frombuffer(model.constants, np.uint8)
        self.struct = Model(
            **{name: _address_of(part) for name, part in self.parts.items()},
            arena_bytes=model.arena_bytes,
            arena_alignment=model.arena_alignment,
            pointers=model.pointers,
            counters=model.counters,
            constants_bytes=len(model.constants),
            n_kernels=len(model.kernels),
            n_layers=len(model.layers),
            n_tensors=len(model.tensors),
            n_rows=len(model.row_address),
            n_entries=len(model.program),
            n_inputs=len(model.inputs),
            n_outputs=len(model.outputs),
            max_window=model.max_window,
            address_shift=model.address_shift,
            n_counters=model.n_counters,
        )

    def check(self) -> int:
        """`fedtiny_check`'s status."""
        return int(host.library().fedtiny_check(ctypes.byref(self.struct)))


class HostSession:
    """A plan with an arena of its own."""

    def __init__(self, plan: ExecutionPlan, tap: Tap | None = None) -> None:
        """Lay out and check the plan's tables, and reset the arena.

        Args:
            plan: Its kernels must be portable C.
            tap: Sees every row that a layer writes.

        Raises:
            RunnerError: The plan does not run here.
        """
        self.plan, self._tap = plan, tap
        self._tables = tables(plan)
        self.model = HostModel(self._tables)
        host.raise_on(self.model.check(), f"the tables of {plan.graph.name!r}: fedtiny_check")
        self._block = _aligned(plan.arena_bytes + _GUARD_BYTES, plan.arena_alignment)
        self._block[:] = _GUARD
        self._model, self._arena = ctypes.byref(self.model.struct), _address_of(self._block)
        self._hook = _HOOK(self._after)
        hook = ctypes.cast(self._hook, _POINTER) if tap else None
        self._hooks = ctypes.byref(Hooks(None, hook, None))
        self.reset()

    def reset(self) -> None:
        """Forget any unfinished inference."""
        size = ctypes.c_size_t(self.plan.arena_bytes)
        self._call("fedtiny_reset", ctypes.c_void_p(self._arena), size)

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """One inference; rows of a fed plan are pushed one by one.

        Args:
            inputs: In the graph's order, with the graph's shapes and dtypes.

        Raises:
            UsageError: An input has another shape or dtype.
            RunnerError: The runtime returned an error or wrote outside of the arena.
        """
        graph = self.plan.graph
        arena = ctypes.c_void_p(self._arena)
        for index, (name, array) in enumerate(zip(graph.inputs, inputs, strict=True)):
            wanted = graph[name]
            if (array.shape, array.dtype) != (wanted.shape, np.dtype(wanted.dtype)):
                found = f"{array.dtype}{array.shape}"
                expected = f"{wanted.dtype}{wanted.shape}"
                raise UsageError(f"input {name!r} is {found}; {expected} is expected.")
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            if self.plan.fed:
                self.reset()
                row_bytes = self._tables.tensors[self._tables.inputs[0]].row_bytes
                for row in data.reshape(-1, row_bytes):
                    self.push_row(row)
            else:
                size = ctypes.c_size_t(data.nbytes)
                self._call(
                    "fedtiny_set_input", arena, _U16(index), _POINTER(_address_of(data)), size
                )
        if not self.plan.fed:
            self._call("fedtiny_run", arena, self._hooks)
        return tuple(self._output(index) for index in range(len(graph.outputs)))

    def push_row(self, row: NDArray[np.uint8]) -> None:
        """Give a fed plan its next input row, as bytes."""
        row = np.ascontiguousarray(row)
        arena = ctypes.c_void_p(self._arena)
        self._call("fedtiny_push_row", arena, _POINTER(_address_of(row)), self._hooks)

    def _output(self, index: int) -> Array:
        tensor = self.plan.graph[self.plan.graph.outputs[index]]
        output: Array = np.empty(tensor.shape, tensor.dtype)
        size = ctypes.c_size_t(output.nbytes)
        arena = ctypes.c_void_p(self._arena)
        address = _POINTER(_address_of(output))
        self._call("fedtiny_get_output", arena, _U16(index), address, size)
        return output

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(host.library(), function)(self._model, *arguments)
        host.raise_on(status, f"{function} of {self.plan.graph.name!r}")
        if np.any(self._block[self.plan.arena_bytes :] != _GUARD):
            raise RunnerError(f"{self.plan.graph.name!r} wrote beyond its arena.")

    def _after(self, context: int, call: Any) -> None:
        row = self._tables.layers[call.contents.layer]
        view = self._tables.tensors[row.output.tensor]
        first = row.output.start + call.contents.step * row.output.advance
        assert self._tap is not None
        for number in range(first, min(first + row.output.window, view.rows)):
            shift = self._tables.address_shift
            start = self._tables.row_address[view.first_row + number] << shift
            self._tap(view.tensor, number, self._block[start : start + view.row_bytes].copy())


def run_plan(
    plan: ExecutionPlan, inputs: Sequence[Array], tap: Tap | None = None
) -> tuple[Array, ...]:
    """One inference of a plan; see `HostSession`."""
    return HostSession(plan, tap).run(inputs)


def run_plan_tensors(plan: ExecutionPlan, inputs: Sequence[Array]) -> dict[str, Array]:
    """One inference; every tensor that a layer writes, complete, by name."""
    rows: dict[str, dict[int, NDArray[np.uint8]]] = {}

    def keep(tensor: str, row: int, data: NDArray[np.uint8]) -> None:
        rows.setdefault(tensor, {})[row] = data

    run_plan(plan, inputs, keep)
    found = {}
    for name, parts in rows.items():
        tensor = plan.graph[name]
        joined = np.concatenate([parts[number] for number in sorted(parts)])
        found[name] = layouts.decode(tensor, joined.view(tensor.dtype))
    return found


def layer_table(model: ModelTables) -> ctypes.Array[Layer]:
    """A plan's layers as the runtime reads them."""
    found = (Layer * len(model.layers))()
    for layer, row in zip(found, model.layers, strict=True):
        for name in ("params", "scratch", "state", "kernel", "steps", "counter"):
            setattr(layer, name, getattr(row, name))
        layer.inputs = len(row.inputs)
        layer.output = _access(row.output)
        for index, access in enumerate(row.inputs):
            layer.input[index] = _access(access)
    return found


def tensor_table(model: ModelTables) -> ctypes.Array[TensorView]:
    """A plan's views of tensors as the runtime reads them."""
    views = [TensorView(v.rows, v.first_row, v.row_bytes) for v in model.tensors]
    return (TensorView * len(views))(*views)


def _access(row: AccessRow) -> Access:
    return Access(row.tensor, row.window, row.advance, row.start)


def _aligned(size: int, alignment: int = 16) -> NDArray[np.uint8]:
    block: NDArray[np.uint8] = np.zeros(size + alignment, np.uint8)
    skip = -block.ctypes.data % alignment
    return block[skip : skip + size]


def _address_of(part: Any) -> int:
    return int(part.ctypes.data) if isinstance(part, np.ndarray) else ctypes.addressof(part)
