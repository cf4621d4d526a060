"""Watches a program inside the emulator: instructions, memory, and what every layer wrote.

The emulator calls back for every basic block and every memory access. The callbacks are C
(`support/unicorn_trace.c`, built once with any compiler for this machine) or, without a compiler,
the Python of this file; both work on the same structures.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import tempfile
import zlib
from pathlib import Path
from typing import Any

from fedtiny.devices import toolchains
from fedtiny.devices.cache import cache_folder
from fedtiny.devices.image import SUPPORT
from fedtiny.devices.pipeline import LINE_BYTES
from fedtiny.devices.profiles import target
from fedtiny.errors import RunnerError

READ, WRITE = 1, 2
FAULT_NONE, FAULT_ACCESS, FAULT_LIMIT, FAULT_CODE = range(4)
NO_LAYER = -1
STACK = 0
"""Index of the stack in `Trace.regions`."""

PAGE_BYTES = 4096
_IT_STATE = 0x0600_FC00  # bits of the status register; see clear_it_state in unicorn_trace.c
_WRITES = (17, 20)  # UC_MEM_WRITE, UC_MEM_WRITE_UNMAPPED


class Region(ctypes.Structure):
    """Addresses [begin, end) that the program may touch, and the lowest and highest it did."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("begin", "end", "lowest", "highest")),
        ("allowed", ctypes.c_uint32),
    )


class LayerTrace(ctypes.Structure):
    """Where a layer writes its rows (see `LayerTable`), and what it did."""

    _fields_ = (
        ("instructions", ctypes.c_uint64),
        ("flash_lines", ctypes.c_uint64),
        *(
            (name, ctypes.c_uint32)
            for name in ("first_row", "rows", "row_bytes", "window", "advance", "steps", "digest")
        ),
        ("start", ctypes.c_int32),
    )


class Trace(ctypes.Structure):
    """Everything that the callbacks read and write.

    `blocks` remembers size << 16 | instructions of the block that begins at each halfword of the
    code, `entries` marks the halfwords where kernels begin. `layer` and `step` are what runs now.
    `runs` and `taken`, by halfword of the code for no layer, then for each layer, count blocks and
    jumps at their ends; `previous` is the index of the block before, `line` what was last read of
    the flash.
    """

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in (
                "stop",
                "read_register",
                "write_register",
                "code",
                "blocks",
                "entries",
                "regions",
                "layers",
                "row_offsets",
                "arena",
                "stack",
                "runs",
                "taken",
            )
        ),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "code_begin",
                "code_bytes",
                "stack_begin",
                "limit",
                "instructions",
                "return_address",
                "fault_address",
                "fault_pc",
            )
        ),
        *(
            (name, ctypes.c_uint32)
            for name in (
                "n_regions",
                "n_layers",
                "thumb",
                "first_argument",
                "link_register",
                "program_counter",
                "status",
                "call_offset",
                "fault",
                "fault_size",
                "fault_write",
            )
        ),
        ("layer", ctypes.c_int32),
        ("step", ctypes.c_int32),
        ("conditional", ctypes.c_uint32),
        ("previous", ctypes.c_uint32),
        ("line", ctypes.c_uint32),
        ("previous_end", ctypes.c_uint64),
    )


class Memory:
    """A page-aligned buffer that the emulated program and this process share."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size
        self.mapped_bytes = max(-(-size // PAGE_BYTES), 1) * PAGE_BYTES
        self.buffer = mmap.mmap(-1, self.mapped_bytes)
        self._pin = ctypes.c_char.from_buffer(self.buffer)
        self.pointer = ctypes.addressof(self._pin)

    def close(self) -> None:
        """Give the memory back; the emulator must be gone."""
        del self._pin
        self.buffer.close()


class PythonCallbacks:
    """The callbacks of `unicorn_trace.c`, line by line, for machines without a compiler."""

    def __init__(
        self,
        trace: Trace,
        code: Memory,
        stack: Memory,
        arena: Memory,
        arrays: tuple[Any, ...],
    ) -> None:
        self.trace = trace
        self.code = code.buffer
        self.stack = stack.buffer
        self.arena = arena.buffer
        (
            self.regions,
            self.layers,
            self.entries,
            self.row_offsets,
            self.blocks,
            self.runs,
            self.taken,
        ) = arrays
        self.counts: dict[tuple[int, int], int] = {}

    def block(self, engine: Any, address: int, size: int, _: object) -> None:
        """One basic block is about to run."""
        t = self.trace
        offset = address - t.code_begin
        if not 0 <= offset <= t.code_bytes - size:
            self._fail(engine, FAULT_CODE, address)
            return
        if t.layer >= 0 and address == t.return_address:
            self._end_step()
        if t.layer < 0 and self.entries[offset >> 1]:
            self._begin_step(engine)
        if (offset, size) not in self.counts:
            self.counts[offset, size] = self._count(offset, size)
        instructions = self.counts[offset, size]
        self.blocks[offset >> 1] = size << 16 | instructions
        t.instructions += instructions
        if t.layer >= 0:
            self.layers[t.layer].instructions += instructions
        self.taken[t.previous] += t.previous_end != address
        t.previous = (t.layer + 1) * (t.code_bytes + 1 >> 1) + (offset >> 1)
        t.previous_end = address + size
        self.runs[t.previous] += 1
        if t.instructions > t.limit:
            self._fail(engine, FAULT_LIMIT, address)

    def access(self, engine: Any, kind: int, address: int, size: int, _: int, __: object) -> None:
        """The program is about to read or write memory."""
        t = self.trace
        if t.thumb and (status := engine.reg_read(t.status)) & _IT_STATE:
            engine.reg_write(t.status, status & ~_IT_STATE)
        wanted = WRITE if kind in _WRITES else READ
        line = address // LINE_BYTES & 0xFFFF_FFFF
        in_code = 0 <= address - t.code_begin < t.code_bytes
        if in_code and t.layer >= 0 and t.line != line:
            t.line = line
            self.layers[t.layer].flash_lines += 1
        for region in self.regions:
            inside = address >= region.begin and address + size <= region.end
            if inside and region.allowed & wanted:
                region.lowest = min(region.lowest, address)
                region.highest = max(region.highest, address + size)
                return
        if t.fault == FAULT_NONE:
            t.fault_size = size
            t.fault_write = wanted == WRITE
        self._fail(engine, FAULT_ACCESS, address)

    def unmapped(self, engine: Any, kind: int, address: int, size: int, _: int, __: object) -> bool:
        """The program is about to touch memory that is not there."""
        self.access(engine, kind, address, size, 0, None)
        return False

    def _fail(self, engine: Any, fault: int, address: int) -> None:
        t = self.trace
        if t.fault == FAULT_NONE:
            t.fault = fault
            t.fault_address = address
            t.fault_pc = engine.reg_read(t.program_counter)
        engine.emu_stop()

    def _count(self, offset: int, size: int) -> int:
        if not self.trace.thumb:
            return size // 4
        at, instructions = offset, 0
        while at < offset + size:
            half = int.from_bytes(self.code[at : at + 2], "little")
            at += 4 if half >> 11 >= 0x1D else 2
            instructions += 1
        return instructions

    def _begin_step(self, engine: Any) -> None:
        t = self.trace
        call = engine.reg_read(t.first_argument) - t.stack_begin + t.call_offset
        if not 0 <= call <= len(self.stack) - 4:
            return
        t.step = int.from_bytes(self.stack[call : call + 2], "little")
        t.layer = int.from_bytes(self.stack[call + 2 : call + 4], "little")
        t.return_address = engine.reg_read(t.link_register) & ~t.thumb
        if t.layer >= t.n_layers:
            t.layer = NO_LAYER

    def _end_step(self) -> None:
        t = self.trace
        layer = self.layers[t.layer]
        last = t.step + 1 == layer.steps
        ready = layer.window if last or layer.advance > layer.window else layer.advance
        first = layer.start + t.step * layer.advance
        for row in range(max(first, 0), min(first + ready, layer.rows)):
            offset = self.row_offsets[layer.first_row + row]
            data = self.arena[offset : offset + layer.row_bytes]
            layer.digest = zlib.crc32(data, layer.digest)
        t.layer = NO_LAYER


def c_callbacks() -> ctypes.CDLL | None:
    """The compiled callbacks, built once and kept in the user's cache; None without a compiler."""
    source = SUPPORT / "unicorn_trace.c"
    try:
        toolchain = toolchains.find(target("c"))
        key = f"{toolchain.compiler}\n{toolchain.flags}\n".encode() + source.read_bytes()
        folder = cache_folder("emulation")
        library = folder / f"trace-{hashlib.sha256(key).hexdigest()[:16]}.so"
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                built = Path(work) / library.name
                toolchain.shared(source, built)
                built.replace(library)
        return ctypes.CDLL(str(library))
    except (RunnerError, OSError):
        return None
