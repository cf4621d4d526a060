"""One emulated Arm core that runs one bare program, watched by `emulation`."""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

import numpy as np

from fedtiny.devices import emulation
from fedtiny.devices.elf import Elf
from fedtiny.devices.emulation import LayerTrace, Memory, Region, Trace
from fedtiny.devices.image import MemoryMap
from fedtiny.devices.model_tables import CALL_POINTERS, ModelTables, read_model
from fedtiny.devices.pipeline import Block, Estimator
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner import RunResult, Signature, bytes_of, outputs_from
from fedtiny.errors import RunnerError

MEMORY = MemoryMap(0x0800_0000, 0x0800_0000, 0x2000_0000, 0x0800_0000)
"""Where images are linked to; roomy, because budgets are checked by the compiler."""

STACK_ORIGIN, STACK_BYTES = 0x3000_0000, 0x0010_0000
ARENA_ORIGIN = 0x6000_0000
INPUT_ORIGIN = 0x7000_0000
OUTPUT_ORIGIN = 0x8000_0000
STOP = 0x1FFF_0000
"""Where the program returns to; nothing is mapped there."""

STATUS = {1: "argument", 2: "arena", 3: "size", 4: "state", 5: "model"}


class EmulatedCore:
    """One emulated core with one program; every part of memory is a buffer of this process."""

    def __init__(
        self, target: Target, elf: Elf, signature: Signature, limit: int, use_c: bool
    ) -> None:
        """Map the image and call `model_init`.

        Args:
            target: The core; it must have settings for unicorn.
            elf: An image that is linked for `MEMORY`.
            signature: What goes in and comes out.
            limit: Instructions after which a call counts as run away.
            use_c: Whether to try the compiled callbacks before those in Python.

        Raises:
            RunnerError: The image cannot be run, or `model_init` failed.
        """
        unicorn: Any = importlib.import_module("unicorn")
        settings = target.emulators["unicorn"]
        self.elf = elf
        self.signature = signature
        tables = read_model(elf)
        self._estimator = Estimator(target.pipeline) if target.pipeline else None
        self.thumb = 1 if target.family == "cortex-m" else 0
        if elf.pointer_bytes == 4:
            mode = unicorn.UC_MODE_THUMB if self.thumb else unicorn.UC_MODE_ARM
            self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, mode)
            constants: Any = importlib.import_module("unicorn.arm_const")
            cpu, register, names = "UC_CPU_ARM_", "UC_ARM_REG_", ("R0", "R1", "R2")
        else:
            self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
            constants = importlib.import_module("unicorn.arm64_const")
            cpu, register, names = "UC_CPU_ARM64_", "UC_ARM64_REG_", ("X0", "X1", "X2")
        self.arguments = tuple(getattr(constants, register + name) for name in names)
        self.link, self.pc, self.sp = (
            getattr(constants, register + name) for name in ("LR", "PC", "SP")
        )
        self.status = constants.UC_ARM_REG_XPSR if self.thumb else 0
        self.engine.ctl_set_cpu_model(getattr(constants, cpu + str(settings["cpu"])))
        if elf.pointer_bytes == 4 and not self.thumb:
            self.engine.reg_write(constants.UC_ARM_REG_C1_C0_2, 0xF << 20)  # access to vectors
            self.engine.reg_write(constants.UC_ARM_REG_FPEXC, 1 << 30)  # and switch them on
        self.error_type = unicorn.UcError

        self.stack = Memory(STACK_ORIGIN, STACK_BYTES)
        self.arena = Memory(ARENA_ORIGIN, tables.arena_bytes)
        self.input = Memory(INPUT_ORIGIN, bytes_of(signature.inputs))
        self.output = Memory(OUTPUT_ORIGIN, bytes_of(signature.outputs))
        self.code, data = self._load_image()
        self.memories = [self.stack, self.arena, self.input, self.output, self.code, *data]
        for memory in self.memories:
            access = unicorn.UC_PROT_READ | (
                unicorn.UC_PROT_EXEC if memory is self.code else unicorn.UC_PROT_WRITE
            )
            self.engine.mem_map_ptr(memory.address, memory.mapped_bytes, access, memory.pointer)
        both = emulation.READ | emulation.WRITE
        allowed = [
            (self.stack, both),
            (self.arena, both),
            (self.code, emulation.READ),
            (self.input, emulation.READ),
            (self.output, both),
            *((memory, both) for memory in data),
        ]
        self._make_trace(tables, allowed, limit)
        self._hook(unicorn, use_c)
        self.call("model_init", ARENA_ORIGIN)

    def _load_image(self) -> tuple[Memory, list[Memory]]:
        flash_end = MEMORY.flash_origin + MEMORY.flash_bytes
        flash = [part for part in self.elf.segments if part.address < flash_end]
        if not flash:
            raise RunnerError("the image holds no code.")
        end = max(part.address + part.size for part in flash)
        code = Memory(MEMORY.flash_origin, end - MEMORY.flash_origin)
        data = []
        for part in self.elf.segments:
            memory = code
            if part not in flash:
                # Segments of the RAM may begin anywhere, maps only at a page.
                offset = part.address % emulation.PAGE_BYTES
                memory = Memory(part.address - offset, part.size + offset)
                data.append(memory)
            at = part.address - memory.address
            memory.buffer[at : at + len(part.data)] = part.data
        return code, data

    def _make_trace(
        self, tables: ModelTables, allowed: list[tuple[Memory, int]], limit: int
    ) -> None:
        self.regions = (Region * len(allowed))(
            *(
                Region(memory.address, memory.address + memory.size, 0, 0, bits)
                for memory, bits in allowed
            )
        )
        fields = ("first_row", "rows", "row_bytes", "window", "advance", "steps", "start")
        self.layers = (LayerTrace * len(tables.layers))(
            *(LayerTrace(**{name: getattr(one, name) for name in fields}) for one in tables.layers)
        )
        self.row_offsets = (ctypes.c_uint32 * len(tables.row_offsets))(*tables.row_offsets)
        halfwords = self.code.mapped_bytes // 2
        self.entries = (ctypes.c_uint8 * halfwords)()
        for address in tables.kernels:
            self.entries[(address - self.code.address) // 2] = 1
        self.blocks = (ctypes.c_uint32 * halfwords)()
        self._span = (self.code.size + 1) // 2
        self.runs = (ctypes.c_uint32 * (self._span * (len(tables.layers) + 1)))()
        self.taken = (ctypes.c_uint32 * len(self.runs))()
        self.trace = Trace(
            code=self.code.pointer,
            blocks=ctypes.addressof(self.blocks),
            entries=ctypes.addressof(self.entries),
            regions=ctypes.addressof(self.regions),
            layers=ctypes.addressof(self.layers),
            row_offsets=ctypes.addressof(self.row_offsets),
            arena=self.arena.pointer,
            stack=self.stack.pointer,
            runs=ctypes.addressof(self.runs),
            taken=ctypes.addressof(self.taken),
            code_begin=self.code.address,
            code_bytes=self.code.size,
            stack_begin=self.stack.address,
            limit=limit,
            n_regions=len(allowed),
            n_layers=len(tables.layers),
            thumb=self.thumb,
            first_argument=self.arguments[0],
            link_register=self.link,
            program_counter=self.pc,
            status=self.status,
            call_offset=CALL_POINTERS * self.elf.pointer_bytes,
        )

    def _hook(self, unicorn: Any, use_c: bool) -> None:
        access = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        unmapped = unicorn.UC_HOOK_MEM_READ_UNMAPPED | unicorn.UC_HOOK_MEM_WRITE_UNMAPPED
        library = emulation.c_callbacks() if use_c else None
        if library is None:
            callbacks = emulation.PythonCallbacks(
                self.trace,
                self.code,
                self.stack,
                self.arena,
                (
                    *(self.regions, self.layers, self.entries, self.row_offsets),
                    *(self.blocks, self.runs, self.taken),
                ),
            )
            self.engine.hook_add(unicorn.UC_HOOK_BLOCK, callbacks.block)
            self.engine.hook_add(access, callbacks.access)
            self.engine.hook_add(unmapped, callbacks.unmapped)
            return
        binding: Any = importlib.import_module("unicorn.unicorn_py3.unicorn")
        uclib = binding.uclib

        def address(function: Any) -> int:
            return ctypes.cast(function, ctypes.c_void_p).value or 0

        self.trace.stop = address(uclib.uc_emu_stop)
        self.trace.read_register = address(uclib.uc_reg_read)
        self.trace.write_register = address(uclib.uc_reg_write)
        for kind, callback in (
            (unicorn.UC_HOOK_BLOCK, library.trace_block),
            (access, library.trace_access),
            (unmapped, library.trace_unmapped),
        ):
            status = uclib.uc_hook_add(
                self.engine._uch,
                ctypes.byref(binding.uc_hook_h()),
                kind,
                address(callback),
                ctypes.addressof(self.trace),
                ctypes.c_uint64(1),
                ctypes.c_uint64(0),
            )
            if status != 0:
                raise RunnerError(f"unicorn refused a hook (error {status}).")

    def call(self, function: str, *arguments: int) -> None:
        """Call a function of the program that returns a `fedtiny_status`.

        Raises:
            RunnerError: It failed, faulted, left its memory or ran away.
        """
        t = self.trace
        t.instructions = 0
        t.fault = emulation.FAULT_NONE
        t.layer = emulation.NO_LAYER
        for layer in self.layers:
            layer.instructions = layer.digest = layer.flash_lines = 0
        for counts in (self.runs, self.taken):
            ctypes.memset(counts, 0, ctypes.sizeof(counts))
        t.previous = t.line = t.previous_end = 0
        for region in self.regions:
            region.lowest, region.highest = region.end, region.begin
        for register, value in zip(self.arguments, arguments, strict=False):
            self.engine.reg_write(register, value)
        self.engine.reg_write(self.sp, STACK_ORIGIN + STACK_BYTES)
        self.engine.reg_write(self.link, STOP | self.thumb)
        problem = None
        try:
            self.engine.emu_start(self.elf.address(function) | self.thumb, STOP)
        except self.error_type as error:
            problem = str(error)
        self._raise_fault(function, problem)
        status = self.engine.reg_read(self.arguments[0]) & 0xFFFF_FFFF
        if status != 0:
            name = STATUS.get(status, "unknown")
            raise RunnerError(f"{function} returned status {status} ({name}) on the emulated core.")

    def infer(self, data: bytes) -> RunResult:
        """One inference over the bytes of the inputs.

        Raises:
            RunnerError: As `call`.
        """
        self.input.buffer[: len(data)] = data
        self.call("model_invoke", ARENA_ORIGIN, INPUT_ORIGIN, OUTPUT_ORIGIN)
        stack, arena = self.regions[emulation.STACK], self.regions[1]
        return RunResult(
            outputs=outputs_from(self.output.buffer[: self.output.size], self.signature),
            digests=tuple(layer.digest for layer in self.layers),
            instructions=self.trace.instructions,
            layer_instructions=tuple(layer.instructions for layer in self.layers),
            stack_bytes=stack.end - stack.lowest,
            arena_bytes=arena.highest - arena.begin,
            layer_cycles=self._cycles(),
            layer_flash_lines=tuple(layer.flash_lines for layer in self.layers),
        )

    def _cycles(self) -> tuple[float, ...] | None:
        """What the last call is estimated to take outside of kernels, then in every layer."""
        if self._estimator is None:
            return None
        runs, taken = (np.ctypeslib.as_array(counts) for counts in (self.runs, self.taken))
        cycles = [0.0] * (len(self.layers) + 1)
        for index in np.flatnonzero(runs):
            layer, at = divmod(int(index), self._span)
            size = self.blocks[at] >> 16
            code = self.code.buffer[2 * at : 2 * at + size]
            block = Block(self.code.address + 2 * at, code)
            cycles[layer] += self._estimator.cycles(block, int(runs[index]), int(taken[index]))
        return tuple(cycles)

    def _raise_fault(self, function: str, problem: str | None) -> None:
        t = self.trace
        if t.fault == emulation.FAULT_NONE and problem is None:
            return
        pc = t.fault_pc if t.fault else self.engine.reg_read(self.pc)
        where = f"in {self.elf.function_at(pc & ~self.thumb)} (called from {function})"
        if t.layer != emulation.NO_LAYER:
            where += f", layer {t.layer}, step {t.step}"
        what = f"the processor faulted ({problem})"
        if t.fault == emulation.FAULT_ACCESS:
            action = "wrote" if t.fault_write else "read"
            place = self._place(t.fault_address)
            what = f"the program {action} outside of its memory, {t.fault_size} bytes at {place}"
        elif t.fault == emulation.FAULT_LIMIT:
            what = f"the program did not return within {t.limit} instructions"
        elif t.fault == emulation.FAULT_CODE:
            what = f"the program jumped to 0x{t.fault_address:08x}, where it has no code"
        raise RunnerError(f"{what}: {where}.")

    def _place(self, address: int) -> str:
        text = f"0x{address:08x}"
        named = (
            ("stack", self.stack),
            ("arena", self.arena),
            ("input", self.input),
            ("output", self.output),
            ("image", self.code),
        )
        for name, memory in named:
            if -65536 <= address - memory.address < memory.mapped_bytes + 65536:
                return f"{text} ({name} {address - memory.address:+d} of {memory.size} bytes)"
        return text

    def close(self) -> None:
        """Give the core and its memory back."""
        del self.engine
        for memory in self.memories:
            memory.close()
