"""Runs a model's firmware on a whole emulated board, over its UART.

`-icount shift=N` makes an instruction take 2^N nanoseconds of the board's time. N is such that this
is at least four ticks of SysTick, which then tells single instructions apart. The board hides what
reading the counter takes; what remains beside the model's own is about ten instructions around the
whole inference, as many around every step in a layer's figure, and SysTick's interrupt once in
millions of instructions.
"""

from __future__ import annotations

import functools
import math
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedtiny.devices import toolchains
from fedtiny.devices.elf import Elf
from fedtiny.devices.firmware import FirmwareSession
from fedtiny.devices.image import MemoryMap, build_bare
from fedtiny.devices.model_tables import read_model
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner import BuildInfo, Evidence, Runner, RunResult, Signature
from fedtiny.devices.streams import ProcessStream
from fedtiny.errors import RunnerError

START_TIMEOUT_S = 10.0


class QemuRunner(Runner):
    """Cortex-M firmware on QEMU's MPS2 and MPS3 boards."""

    name: ClassVar[str] = "qemu"
    evidence: ClassVar[Evidence] = "emulated"

    def __init__(self, target: Target, argument: str | None = None) -> None:
        """Make a runner; `argument` is the toolchain, ``"gcc"`` or ``"zig"``."""
        super().__init__(target, argument)
        self._settings = target.emulators.get("qemu", {})
        self._stream: ProcessStream | None = None
        self._session: FirmwareSession | None = None

    def unavailable(self) -> str | None:
        """Why this runner cannot run here, and what would enable it; None when it can."""
        if not self._settings:
            return f"no board of QEMU's is set up for {self.target.name}."
        command = str(self._settings["command"])
        if shutil.which(command) is None:
            return (
                f"{command} is not on the PATH: apt install qemu-system-arm, or brew install qemu."
            )
        try:
            toolchains.find(self.target, self.argument)
        except RunnerError as error:
            return str(error)
        return None

    def build(self, source: Path, work: Path) -> BuildInfo:
        """Compile an export's `c/` folder with the firmware; files go to `work`.

        Raises:
            RunnerError: No compiler, or the build failed.
        """
        if (reason := self.unavailable()) is not None:
            raise RunnerError(reason)
        settings = self._settings
        return build_bare(
            toolchains.find(self.target, self.argument),
            source,
            work,
            memory_map(self.target),
            entry="Reset_Handler",
            harness=("startup_cortex_m.c", "firmware.c", str(settings["board"])),
            define=(
                f"BOARD_UART=0x{int(settings['uart']):x}u",
                f"BOARD_CLOCK_HZ={settings['clock_hz']}u",
            ),
        )

    def load(self, build: BuildInfo, signature: Signature) -> None:
        """Start the board with the built image."""
        if (reason := self.unavailable()) is not None:
            raise RunnerError(reason)
        self.close()
        shift = instruction_shift(int(self._settings["clock_hz"]))
        self._stream = ProcessStream(
            [
                str(self._settings["command"]),
                *("-machine", str(self._settings["machine"])),
                *("-kernel", str(build.image)),
                *("-icount", f"shift={shift}"),
                *("-display", "none", "-monitor", "none", "-serial", "stdio"),
            ]
        )
        self._session = FirmwareSession(
            self._stream,
            signature,
            START_TIMEOUT_S,
            instructions=functools.partial(instructions_of, shift),
        )
        expected = read_model(Elf.load(build.image)).identity
        if self._session.info.identity != expected:
            raise RunnerError("the emulated board answers for another model than the one built.")

    def run(self, inputs: tuple[NDArray[np.generic], ...]) -> RunResult:
        """One inference.

        Raises:
            RunnerError: The program faulted or did not answer in time.
        """
        if self._session is None:
            raise RunnerError("no program is loaded.")
        return self._session.run(inputs)

    def close(self) -> None:
        """Switch the board off."""
        self._session = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def instruction_shift(ticks_hz: int) -> int:
    """The exponent of `-icount` with which an instruction takes at least four ticks of a clock."""
    return math.ceil(math.log2(4e9 / ticks_hz))


def instructions_of(shift: int, ticks: int, ticks_hz: int) -> int:
    """How many instructions took so many ticks under `-icount shift=SHIFT`."""
    return round(ticks * 1_000_000_000 / (ticks_hz << shift))


def memory_map(target: Target) -> MemoryMap:
    """The memory of a target's board."""
    settings = target.emulators["qemu"]
    names = ("flash_origin", "flash_bytes", "ram_origin", "ram_bytes")
    return MemoryMap(*(int(settings[name]) for name in names))


RUNNER = QemuRunner
