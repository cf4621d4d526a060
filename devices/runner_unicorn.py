"""Runs a model in process on an emulated Arm core, and sees everything that it does.

The export is linked bare, without firmware, and `model_init` and `model_invoke` are called
directly. Figures are exact: executed instructions in total and per layer (a layer's are those from
its kernel's entry to its return), the stack's and the arena's high-water marks, and any access
outside of the program's own memory. The runtime's part between the kernels is in the total only.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedtiny.devices import toolchains
from fedtiny.devices.elf import Elf
from fedtiny.devices.emulated_core import MEMORY, EmulatedCore
from fedtiny.devices.image import build_bare
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner import BuildInfo, Evidence, Runner, RunResult, Signature, checked_inputs
from fedtiny.errors import RunnerError


class UnicornRunner(Runner):
    """Cortex-M and AArch64 programs under Unicorn."""

    name: ClassVar[str] = "unicorn"
    evidence: ClassVar[Evidence] = "emulated"

    def __init__(
        self, target: Target, argument: str | None = None, limit: int = 50_000_000_000
    ) -> None:
        """Make a runner.

        Args:
            target: What programs are built for.
            argument: Toolchain to build with, ``"gcc"`` or ``"zig"``; None takes what is there.
            limit: Instructions after which a program counts as run away.
        """
        super().__init__(target, argument)
        self.limit = limit
        self.use_c_callbacks = True
        self._core: EmulatedCore | None = None

    def unavailable(self) -> str | None:
        """Why this runner cannot run here, and what would enable it; None when it can."""
        if "unicorn" not in self.target.emulators:
            return f"unicorn does not emulate {self.target.name}; it runs Cortex-M and Cortex-A."
        try:
            importlib.import_module("unicorn")
            toolchains.find(self.target, self.argument)
        except ImportError:
            return "the emulator is not installed: pip install unicorn."
        except RunnerError as error:
            return str(error)
        return None

    def build(self, source: Path, work: Path) -> BuildInfo:
        """Compile an export's `c/` folder; files go to `work`.

        Raises:
            RunnerError: No compiler, or the build failed.
        """
        toolchain = toolchains.find(self.target, self.argument)
        keep = ("model_init", "model")
        return build_bare(toolchain, source, work, MEMORY, "model_invoke", keep)

    def load(self, build: BuildInfo, signature: Signature) -> None:
        """Map the built image into a new emulated core."""
        if (reason := self.unavailable()) is not None:
            raise RunnerError(reason)
        self.close()
        elf = Elf.load(build.image)
        self._core = EmulatedCore(self.target, elf, signature, self.limit, self.use_c_callbacks)

    def run(self, inputs: tuple[NDArray[np.generic], ...]) -> RunResult:
        """One inference.

        Raises:
            RunnerError: The program faulted, left its memory, or ran past the instruction limit.
        """
        if self._core is None:
            raise RunnerError("no program is loaded.")
        return self._core.infer(checked_inputs(inputs, self._core.signature))

    def close(self) -> None:
        """Give the emulated core back."""
        if self._core is not None:
            self._core.close()
            self._core = None


RUNNER = UnicornRunner
