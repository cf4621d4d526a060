"""Runs single kernels of the runtime on an emulated Cortex-M: for tests, fits and benchmarks.

One image holds several kernels; a call writes a layer's constants and rows into the emulated memory
and counts what the kernel executes. No generated program and no executor is involved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.devices import toolchains
from fedtiny.devices.bare_core import BareCore, UnicornCore, open_core
from fedtiny.devices.elf import Elf
from fedtiny.devices.image import SUPPORT, MemoryMap, linker_script
from fedtiny.devices.profiles import Target
from fedtiny.errors import RunnerError
from fedtiny.runtime import build, host, table
from fedtiny.runtime.contract import Access, Kernel
from fedtiny.runtime.packing.geometry import row_count

STACK_BYTES = 0x2000
"""At the beginning of the RAM; the rest is for rows and constants."""

GUARD_BYTES = 32
_GUARD = b"\xa5" * GUARD_BYTES


@dataclass(frozen=True)
class KernelRun:
    """What a kernel did in one inference of a node.

    Attributes:
        output: With the graph's shape.
        instructions: Executed from the kernel's entry to its return, all steps together.
        stack_bytes: High-water mark of the stack.
    """

    output: NDArray[np.generic]
    instructions: int
    stack_bytes: int


class KernelCore:
    """An emulated core with an image of some kernels; close it, or use it as a context manager."""

    def __init__(
        self,
        target: Target,
        kernels: Sequence[Kernel],
        toolchain: str | None = None,
        parts: Iterable[str] | None = None,
    ) -> None:
        """Build the image and load it.

        Args:
            target: A Cortex-M.
            kernels: What the image holds.
            toolchain: ``"gcc"``, ``"zig"``, or None for what is there.
            parts: Those of the shared code that it has; None for all.

        Raises:
            RunnerError: No compiler, or the build failed.
        """
        self._core = open_core(target)
        try:
            with tempfile.TemporaryDirectory() as work:
                chain = toolchains.find(target, toolchain)
                self.elf = _build(chain, kernels, Path(work), self._core.memory, parts)
            self._core.load(self.elf)
        except BaseException:
            self.close()
            raise

    def run(
        self,
        kernel: Kernel,
        node: Node,
        graph: Graph,
        inputs: Sequence[NDArray[np.generic]],
        joined: bool = False,
    ) -> KernelRun:
        """Run all steps of a node, each row in memory of its own.

        Args:
            kernel: One of the image's kernels; it must support the node.
            node: The node.
            graph: Its graph.
            inputs: The activation inputs, with the graph's shapes and dtypes.
            joined: Whether output rows follow each other, as in most programs.

        Raises:
            RunnerError: The kernel faulted, returned an error or wrote outside of its memory.
        """
        packing = table.packing(kernel)
        contract = packing.contract(node, graph)
        constants, params = host.lay_out(kernel, packing.pack(node, graph))
        core = self._core
        memory = _Memory(core)
        base = memory.place(constants.tobytes())
        sources = [
            [memory.place(row) for row in _rows(array, access)]
            for array, access in zip(inputs, contract.inputs, strict=True)
        ]
        output = np.zeros(graph[node.output].shape, graph[node.output].dtype)
        rows = memory.place_all(_rows(output, contract.output), joined)
        scratch = memory.place(bytes(contract.scratch_bytes))
        state = memory.place(bytes(contract.state_bytes))
        pointers = memory.place(bytes(4 * (1 + _pointer_count(contract.inputs, contract.output))))
        call = memory.place(bytes(28))
        instructions = 0
        core.write(core.memory.ram_origin, _GUARD * (STACK_BYTES // GUARD_BYTES))
        for step in range(contract.steps):
            reads = [
                at[r] if 0 <= r < len(at) else 0
                for at, access in zip(sources, contract.inputs, strict=True)
                for r in _touched(access, step)
            ]
            writes = [rows[r] if r < len(rows) else 0 for r in _touched(contract.output, step)]
            self._words(pointers, [*reads, *writes])
            self._words(
                call,
                [base + params, base, pointers, pointers + 4 * len(reads), scratch, state, step],
            )
            instructions += self._call(kernel, call)
        memory.check_guards(kernel)
        size = output.nbytes // len(rows)
        data = b"".join(core.read(at, size) for at in rows)
        stack = core.read(core.memory.ram_origin, STACK_BYTES)
        untouched = len(stack) - len(stack.lstrip(_GUARD[:1]))
        return KernelRun(
            np.frombuffer(data, output.dtype).reshape(output.shape),
            instructions,
            STACK_BYTES - untouched,
        )

    def close(self) -> None:
        """Give the core back."""
        self._core.close()

    def __enter__(self) -> KernelCore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, kernel: Kernel, argument: int) -> int:
        stack = self._core.memory.ram_origin + STACK_BYTES
        try:
            done = self._core.call(self.elf.address(kernel.symbol), argument, stack)
        except RunnerError as error:
            raise RunnerError(f"kernel {kernel.name}: {error}") from error
        host.raise_on(done.status, f"kernel {kernel.name}")
        if not done.kept:
            raise RunnerError(f"kernel {kernel.name} did not restore the caller's registers.")
        return done.instructions

    def _words(self, address: int, values: Sequence[int]) -> None:
        self._core.write(address, np.array(values, "<u4").tobytes())


class _Memory:
    """Hands out parts of the emulated RAM with guards around them."""

    def __init__(self, core: BareCore) -> None:
        self._core = core
        self._next = core.memory.ram_origin + STACK_BYTES + GUARD_BYTES
        self._end = core.memory.ram_origin + core.memory.ram_bytes - 0x1000  # the core's own
        self._guards: list[int] = []

    def place(self, data: bytes) -> int:
        """Write data to memory of its own, aligned to 8."""
        at, size = self._next, len(data)
        end = at + size
        self._next = -(-(end + 2 * GUARD_BYTES) // 8) * 8
        if self._next > self._end:
            raise RunnerError("the layer does not fit the emulated memory.")
        self._core.write(at - GUARD_BYTES, _GUARD + data + _GUARD)
        self._guards += [at - GUARD_BYTES, end]
        return at

    def place_all(self, rows: Sequence[bytes], joined: bool) -> list[int]:
        """Place rows one by one, or one behind the other."""
        if not joined:
            return [self.place(row) for row in rows]
        at = self.place(b"".join(rows))
        return [at + sum(map(len, rows[:i])) for i in range(len(rows))]

    def check_guards(self, kernel: Kernel) -> None:
        """Raise where a guard was overwritten."""
        for at in self._guards:
            if self._core.read(at, GUARD_BYTES) != _GUARD:
                raise RunnerError(f"kernel {kernel.name} wrote outside of its memory.")


def _build(
    toolchain: toolchains.Toolchain,
    kernels: Sequence[Kernel],
    work: Path,
    memory: MemoryMap,
    parts: Iterable[str] | None = None,
) -> Elf:
    root = build.ROOT
    names = {name for kernel in kernels for name in (kernel.source, *kernel.helpers)}
    names.add("src/memory.c")
    include = [work, root, root / "include"]
    (work / "fedtiny").mkdir()
    (work / "fedtiny" / "parts.h").write_text(table.parts_header(parts), "utf-8")
    objects = []
    if not toolchain.headers:
        include.append(SUPPORT / "libc")
    for name in sorted(names):
        target = work / f"model_{name.replace('/', '_')}.o"
        toolchain.compile(root / name, target, include)
        objects.append(target)
    if not toolchain.memory:
        objects.append(work / "library_memory.o")
        toolchain.compile(SUPPORT / "libc" / "memory.c", objects[-1], include)
    script = work / "image.ld"
    script.write_text(linker_script(memory), "utf-8")
    symbols = [kernel.symbol for kernel in kernels]
    toolchain.link(objects, work / "image.elf", script, symbols[0], symbols)
    return Elf.load(work / "image.elf")


def functions(target: Target, kernel: Kernel, toolchain: str | None = None) -> dict[str, int]:
    """Bytes of every function of a program that holds one kernel, library functions included.

    Raises:
        RunnerError: No compiler, or the build failed.
    """
    with tempfile.TemporaryDirectory() as work:
        chain = toolchains.find(target, toolchain)
        elf = _build(chain, (kernel,), Path(work), UnicornCore.memory)
    found: dict[str, int] = {}
    for symbol in {symbol.address: symbol for symbol in elf.functions}.values():  # no aliases
        name = symbol.name.split(".")[0]
        found[name] = found.get(name, 0) + symbol.size
    return dict(sorted((name, size) for name, size in found.items() if size))


def _rows(array: NDArray[np.generic], access: Access) -> list[bytes]:
    rows = 1 if access.flat else row_count(array.shape)
    return [row.tobytes() for row in np.ascontiguousarray(array).reshape(rows, -1)]


def _touched(access: Access, step: int) -> range:
    first = access.start + step * access.advance
    return range(first, first + access.window)


def _pointer_count(inputs: Sequence[Access], output: Access) -> int:
    return output.window + sum(access.window for access in inputs)
