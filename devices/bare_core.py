"""Emulated Cortex-M cores without a program of their own: memory, and calls of single functions.

`open_core` takes what a target's runner runs on: Unicorn in this process, or QEMU by its debugger.
Both count executed instructions exactly.
"""

from __future__ import annotations

import importlib
import struct
from dataclasses import dataclass
from typing import Any, Protocol

from fedtiny.devices.elf import Elf
from fedtiny.devices.gdb import Gdb
from fedtiny.devices.image import MemoryMap
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner_qemu import instruction_shift, instructions_of
from fedtiny.devices.streams import ProcessStream
from fedtiny.errors import RunnerError

_SAVED = range(4, 12)
"""Registers that a function must leave as they were."""

_MARK = 0xC0DE_0000


@dataclass(frozen=True)
class Returned:
    """What a call left behind.

    Attributes:
        status: The function's result.
        instructions: Executed.
        kept: Whether the stack pointer and the saved registers are the caller's.
    """

    status: int
    instructions: int
    kept: bool


class BareCore(Protocol):
    """An emulated core; close it after use.

    Attributes:
        memory: Where images are linked to.
    """

    memory: MemoryMap

    def load(self, elf: Elf) -> None:
        """Put an image into memory."""

    def write(self, address: int, data: bytes) -> None:
        """Write memory."""

    def read(self, address: int, size: int) -> bytes:
        """Read memory."""

    def call(self, function: int, argument: int, stack: int) -> Returned:
        """Call a function of one argument.

        Raises:
            RunnerError: It faulted or did not return.
        """

    def close(self) -> None:
        """Give the core back."""


def open_core(target: Target) -> BareCore:
    """The core of a target: by Unicorn where it emulates the target, else by QEMU."""
    return UnicornCore(target) if "unicorn" in target.emulators else QemuCore(target)


class UnicornCore:
    """A core in this process."""

    memory = MemoryMap(0x0800_0000, 0x0100_0000, 0x2000_0000, 0x0100_0000)

    def __init__(self, target: Target) -> None:
        """Make the core and its memory."""
        unicorn: Any = importlib.import_module("unicorn")
        registers: Any = importlib.import_module("unicorn.arm_const")
        self._registers = registers
        self._error = unicorn.UcError
        self._engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        cpu = target.emulators["unicorn"]["cpu"]
        self._engine.ctl_set_cpu_model(getattr(registers, f"UC_CPU_ARM_{cpu}"))
        self._engine.mem_map(self.memory.flash_origin, self.memory.flash_bytes)
        self._engine.mem_map(self.memory.ram_origin, self.memory.ram_bytes)
        self._counts: dict[tuple[int, int], int] = {}
        self._instructions = 0
        self._engine.hook_add(unicorn.UC_HOOK_BLOCK, self._block)

    def load(self, elf: Elf) -> None:
        """Put an image into memory."""
        self._elf = elf
        for segment in elf.segments:
            self.write(segment.address, bytes(segment.data))

    def write(self, address: int, data: bytes) -> None:
        """Write memory."""
        self._engine.mem_write(address, data)

    def read(self, address: int, size: int) -> bytes:
        """Read memory."""
        return bytes(self._engine.mem_read(address, size))

    def call(self, function: int, argument: int, stack: int) -> Returned:
        """Call a function of one argument.

        Raises:
            RunnerError: It faulted.
        """
        r, engine = self._registers, self._engine
        stop = self.memory.ram_origin - 0x1_0000  # nothing is mapped there
        engine.reg_write(r.UC_ARM_REG_R0, argument)
        engine.reg_write(r.UC_ARM_REG_SP, stack)
        engine.reg_write(r.UC_ARM_REG_LR, stop | 1)
        saved = [r.UC_ARM_REG_R0 + number for number in _SAVED]
        for register in saved:
            engine.reg_write(register, _MARK + register)
        self._instructions = 0
        try:
            engine.emu_start(function | 1, stop)
        except self._error as error:
            where = self._elf.function_at(engine.reg_read(r.UC_ARM_REG_PC))
            raise RunnerError(f"the core faulted in {where}: {error}.") from error
        kept = all(engine.reg_read(x) == _MARK + x for x in saved)
        kept = kept and engine.reg_read(r.UC_ARM_REG_SP) == stack
        return Returned(engine.reg_read(r.UC_ARM_REG_R0), self._instructions, kept)

    def close(self) -> None:
        """Give the core back."""
        del self._engine

    def _block(self, engine: Any, address: int, size: int, _: object) -> None:
        if (address, size) not in self._counts:
            code = bytes(engine.mem_read(address, size))
            at = count = 0
            while at < size:
                wide = code[at + 1] >> 3 >= 0x1D
                at += 4 if wide else 2
                count += 1
            self._counts[address, size] = count
        self._instructions += self._counts[address, size]


_FAULT, _STORE, _CALL, _STOP, _SLOTS, _VECTORS = 0x00, 0x20, 0x30, 0x42, 0x70, 0x80
"""Offsets in the reserved part: where faults go, the code below, where it ends, what it stores, the
vector table."""

_STORE_CODE = bytes.fromhex("01607047")
"""`str r1, [r0]` and `bx lr`."""

_CALL_CODE = struct.pack(
    "<10H", *(0x4904, 0x6809, 0x4A04, 0x6011), 0x47E0, *(0x4902, 0x6809, 0x4A02, 0x6051), 0xBF00
)
"""Stores SysTick's counter, `blx r12`, stores it again; the two addresses follow.

    ldr r1, counter; ldr r1, [r1]; ldr r2, slots; str r1, [r2]
    blx r12
    ldr r1, counter; ldr r1, [r1]; ldr r2, slots; str r1, [r2, #4]; nop
"""

_RESERVED_BYTES = 0x100
_SP, _LR, _PC, _STATUS = 13, 14, 15, 25
_CPACR, _VTOR, _SYSTICK = 0xE000_ED88, 0xE000_ED08, 0xE000_E010
_TIMEOUT_S = 60.0


class QemuCore:
    """The core of a board that QEMU emulates, driven by its debugger.

    The board's clock advances by several ticks of SysTick with every instruction, so that the
    difference between two readings tells them exactly.
    """

    def __init__(self, target: Target) -> None:
        """Start QEMU.

        Raises:
            RunnerError: It cannot be started.
        """
        settings = target.emulators["qemu"]
        names = ("flash_origin", "flash_bytes", "ram_origin", "ram_bytes")
        self.memory = MemoryMap(*(int(settings[name]) for name in names))
        self._hertz = int(settings["clock_hz"])
        self._shift = instruction_shift(self._hertz)
        self._base = self.memory.ram_origin + self.memory.ram_bytes - _RESERVED_BYTES
        self._stream = ProcessStream(
            [
                str(settings["command"]),
                *("-machine", str(settings["machine"]), "-S", "-gdb", "stdio"),
                *("-icount", f"shift={self._shift}"),
                *("-display", "none", "-monitor", "none", "-serial", "none"),
            ]
        )
        self._gdb = Gdb(self._stream)
        faults = (self._base + _FAULT | 1).to_bytes(4, "little")
        self.write(self._base + _VECTORS, faults * 16)
        self.write(self._base + _STORE, _STORE_CODE)
        places = struct.pack("<II", _SYSTICK + 8, self._base + _SLOTS)
        self.write(self._base + _CALL, _CALL_CODE + places)
        self._gdb.break_at(self._base + _STOP)
        self._gdb.break_at(self._base + _FAULT)
        self._store(_VTOR, self._base + _VECTORS)
        self._store(_CPACR, 0xF << 20)
        self._store(_SYSTICK + 4, 0xFF_FFFF)
        self._store(_SYSTICK, 5)  # on, from the core's clock, without interrupt
        self._around = 0
        stack, empty = self._base, self._base + _STORE + 2
        self._around = self.call(empty, 0, stack).instructions - 1

    def load(self, elf: Elf) -> None:
        """Put an image into memory."""
        self._elf = elf
        for segment in elf.segments:
            self.write(segment.address, bytes(segment.data))

    def write(self, address: int, data: bytes) -> None:
        """Write memory."""
        self._gdb.write(address, data)

    def read(self, address: int, size: int) -> bytes:
        """Read memory."""
        return self._gdb.read(address, size)

    def call(self, function: int, argument: int, stack: int) -> Returned:
        """Call a function of one argument; at most about four million instructions.

        Raises:
            RunnerError: It faulted or did not return.
        """
        marks = {number: _MARK + number for number in _SAVED}
        start = {0: argument, 12: function | 1, _SP: stack, _PC: self._base + _CALL}
        self._gdb.set_registers({**marks, **start, _STATUS: 1 << 24})
        stopped = self._gdb.run(_TIMEOUT_S)
        status, place, pointer, *saved = self._gdb.registers([0, _PC, _SP, *_SAVED])
        if not stopped or place != self._base + _STOP:
            where = int.from_bytes(self.read(pointer + 24, 4), "little") if stopped else place
            raise RunnerError(f"the core faulted in {self._elf.function_at(where)}.")
        before, after = struct.unpack("<II", self.read(self._base + _SLOTS, 8))
        count = instructions_of(self._shift, (before - after) & 0xFF_FFFF, self._hertz)
        kept = pointer == stack and saved == list(marks.values())
        return Returned(status, count - self._around, kept)

    def close(self) -> None:
        """End QEMU."""
        self._stream.close()

    def _store(self, address: int, value: int) -> None:
        """Write a register of the core; the debugger itself writes to memory only."""
        place = {_LR: self._base + _STOP | 1, _PC: self._base + _STORE, _STATUS: 1 << 24}
        self._gdb.set_registers({0: address, 1: value, **place})
        if not self._gdb.run(_TIMEOUT_S):
            raise RunnerError("the emulated core does not start.")
