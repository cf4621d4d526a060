"""Runs a model on a board that is connected by a serial port and runs the firmware.

FedTiny does not write the board's flash: build `devices/support/firmware.c` with the board's own
functions (see `devices/support/PROTOCOL.md`) and the export's `c/` folder, and flash it as usual.
A board that answers for another model is refused.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedtiny.devices import toolchains
from fedtiny.devices.elf import Elf
from fedtiny.devices.emulated_core import MEMORY
from fedtiny.devices.firmware import FirmwareSession
from fedtiny.devices.image import build_bare
from fedtiny.devices.model_tables import read_model
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner import BuildInfo, Evidence, Runner, RunResult, Signature
from fedtiny.devices.streams import SerialStream
from fedtiny.errors import RunnerError, UsageError

DEFAULT_BAUD = 115_200


class SerialRunner(Runner):
    """A board at `serial:PORT` or `serial:PORT,BAUD`; latency is by the board's own counter."""

    name: ClassVar[str] = "serial"
    evidence: ClassVar[Evidence] = "measured"

    def __init__(self, target: Target, argument: str | None = None) -> None:
        """Make a runner; `argument` is the port, and where wanted a comma and the baud rate.

        Raises:
            UsageError: There is no port, or the baud rate is no number.
        """
        super().__init__(target, argument)
        self._port, _, baud = (argument or "").partition(",")
        if not self._port:
            raise UsageError("serial needs a port, for example serial:/dev/ttyACM0.")
        if baud and not (baud.isdecimal() and int(baud) > 0):
            raise UsageError(f"baud rate {baud!r} is not a positive number.")
        self._baud = int(baud) if baud else DEFAULT_BAUD
        self._stream: SerialStream | None = None
        self._session: FirmwareSession | None = None

    def unavailable(self) -> str | None:
        """Why this runner cannot run here, and what would enable it; None when it can."""
        if not self.target.zig:
            return f"{self.target.name} is this machine, not a board."
        if importlib.util.find_spec("serial") is None:
            return "serial ports need pyserial: pip install fedtiny[boards]."
        if not self._port.startswith("COM") and not Path(self._port).exists():
            return f"there is no serial port {self._port}; connect the board, or name its port."
        try:
            toolchains.find(self.target)
        except RunnerError as error:
            return str(error)
        return None

    def build(self, source: Path, work: Path) -> BuildInfo:
        """Compile the model alone, for its sizes and to know it again on the board.

        Raises:
            RunnerError: No compiler, or the build failed.
        """
        keep = ("model_init", "model")
        toolchain = toolchains.find(self.target)
        return build_bare(toolchain, source, work, MEMORY, "model_invoke", keep)

    def load(self, build: BuildInfo, signature: Signature) -> None:
        """Open the port and compare the board's model with the one that was built."""
        self.close()
        self._stream = SerialStream(self._port, self._baud)
        self._session = FirmwareSession(self._stream, signature)
        if self._session.info.identity != read_model(Elf.load(build.image)).identity:
            raise RunnerError(
                f"the board at {self._port} holds another model; flash it with this export."
            )

    def run(self, inputs: tuple[NDArray[np.generic], ...]) -> RunResult:
        """One inference.

        Raises:
            RunnerError: The board faulted or did not answer in time.
        """
        if self._session is None:
            raise RunnerError("no program is loaded.")
        return self._session.run(inputs)

    def close(self) -> None:
        """Close the port."""
        self._session = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None


RUNNER = SerialRunner
