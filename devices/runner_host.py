"""Runs a model's C on this machine, as a program that speaks the device protocol."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedtiny.devices import toolchains
from fedtiny.devices.firmware import FirmwareSession
from fedtiny.devices.image import build_host
from fedtiny.devices.profiles import Target, target
from fedtiny.devices.runner import BuildInfo, Evidence, Runner, RunResult, Signature
from fedtiny.devices.streams import ProcessStream
from fedtiny.errors import RunnerError
from fedtiny.runtime.build import host_features

HARNESS = ("firmware.c", "board_host.c")


class HostRunner(Runner):
    """The firmware with standard input and output as its byte stream; latency is wall-clock time.

    Programs for another target than ``c`` run here only where they are portable C; what they
    compute is the same, how fast is not.
    """

    name: ClassVar[str] = "host"
    evidence: ClassVar[Evidence] = "measured"

    def __init__(self, target: Target, argument: str | None = None) -> None:
        """Make a runner; `argument` is the toolchain, ``"gcc"`` or ``"zig"``."""
        super().__init__(target, argument)
        self._stream: ProcessStream | None = None
        self._session: FirmwareSession | None = None

    def unavailable(self) -> str | None:
        """Why this runner cannot run here, and what would enable it; None when it can."""
        try:
            toolchains.find(self._chip(), self.argument)
        except RunnerError as error:
            return str(error)
        missing = {"avx2"} & set(self._chip().isa) - set(host_features())
        return f"this machine has no {', '.join(missing)}." if missing else None

    def _chip(self) -> Target:
        """The program's target where that is a machine like this one."""
        return self.target if self.target.family == "c" else target("c")

    def build(self, source: Path, work: Path) -> BuildInfo:
        """Compile an export's `c/` folder; files go to `work`.

        Raises:
            RunnerError: No compiler, or the build failed.
        """
        return build_host(toolchains.find(self._chip(), self.argument), source, work, HARNESS)

    def command(self, image: Path) -> list[str]:
        """What starts a program."""
        return [str(image)]

    def load(self, build: BuildInfo, signature: Signature) -> None:
        """Start the program."""
        self.close()
        self._stream = ProcessStream(self.command(build.image))
        self._session = FirmwareSession(self._stream, signature)

    def run(self, inputs: tuple[NDArray[np.generic], ...]) -> RunResult:
        """One inference.

        Raises:
            RunnerError: The program crashed or did not answer in time.
        """
        if self._session is None:
            raise RunnerError("no program is loaded.")
        return self._session.run(inputs)

    def close(self) -> None:
        """End the program."""
        self._session = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None


RUNNER = HostRunner
