"""Runs a model's C as WebAssembly, a program for WASI that speaks the device protocol."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import ClassVar

from fedtiny.devices import toolchains
from fedtiny.devices.image import build_host
from fedtiny.devices.runner import BuildInfo
from fedtiny.devices.runner_host import HARNESS, HostRunner
from fedtiny.errors import RunnerError


class WasmRunner(HostRunner):
    """The firmware in a process of its own under wasmtime; latency is wall-clock time."""

    name: ClassVar[str] = "wasm"

    def unavailable(self) -> str | None:
        """Why this runner cannot run here, and what would enable it; None when it can."""
        if self.target.family != "wasm":
            return f"it runs programs for wasm, not for {self.target.name}."
        if importlib.util.find_spec("wasmtime") is None:
            return "wasmtime is not installed: pip install 'fedtiny[wasm]'."
        try:
            toolchains.find(self.target, self.argument)
        except RunnerError as error:
            return str(error)
        return None

    def build(self, source: Path, work: Path) -> BuildInfo:
        """Compile an export's `c/` folder; files go to `work`.

        Raises:
            RunnerError: No compiler, or the build failed.
        """
        return build_host(toolchains.find(self.target, self.argument), source, work, HARNESS)

    def command(self, image: Path) -> list[str]:
        """What starts a program."""
        return [sys.executable, "-m", "fedtiny.devices.wasi", str(image)]


RUNNER = WasmRunner
