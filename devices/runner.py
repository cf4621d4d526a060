"""The one interface of everything that can run a compiled model: host, emulators, boards.

A runner builds an export folder's C, loads it, runs inputs, and reads back what happened. Each
runner is one file of this folder (`runner_NAME.py`) with a class `RUNNER`, found by enumeration.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from fedtiny.devices.profiles import Target
from fedtiny.errors import RunnerError, UsageError, unknown_name

Evidence = Literal["estimated", "emulated", "measured"]


@dataclass(frozen=True)
class TensorType:
    """Shape and dtype of a model's input or output, as the C program sees it (NHWC)."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Signature:
    """What goes in and comes out of a model."""

    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]


@dataclass(frozen=True)
class BuildInfo:
    """What a build produced.

    Attributes:
        image: The linked file.
        compiler: Name and version, for example ``"arm-none-eabi-gcc 12.2.1"``.
        flags: Compiler flags, in order, without paths.
        code_bytes: Flash of the model's own code (executor and kernels, without the harness).
        constants_bytes: Flash of weights and tables.
        static_ram_bytes: Writable globals (must be 0 for the runtime).
        sections: Size by symbol group, for the report.
        stack_bound_bytes: The most stack that an inference can take; None where it cannot be told.
    """

    image: Path
    compiler: str
    flags: tuple[str, ...]
    code_bytes: int | None
    constants_bytes: int | None
    static_ram_bytes: int | None
    sections: Mapping[str, int] = field(default_factory=dict)
    stack_bound_bytes: int | None = None


@dataclass(frozen=True)
class RunResult:
    """What one inference did. What a runner cannot know is None.

    Attributes:
        outputs: One array for every model output, dtype and shape as in the model.
        digests: CRC-32 of each layer's complete output rows in row order, by layer index.
        instructions: Executed in the whole inference.
        layer_instructions: Executed inside each layer's kernel, by layer index.
        cycles: Counted by the device.
        latency_ms: By the device's clock.
        stack_bytes: High-water mark of the stack from the call of the inference on.
        layer_cycles: Estimated by a model of the pipeline (`fedtiny.devices.pipeline`) without
            waiting for flash: outside of kernels, then by layer index.
        layer_flash_lines: Reads of constants, as `pipeline.wait_cycles` takes them, by layer index.
        arena_bytes: Highest arena byte that was touched, plus one.
    """

    outputs: tuple[NDArray[np.generic], ...]
    digests: tuple[int, ...] | None = None
    instructions: int | None = None
    layer_instructions: tuple[int, ...] | None = None
    cycles: int | None = None
    latency_ms: float | None = None
    stack_bytes: int | None = None
    arena_bytes: int | None = None
    layer_cycles: tuple[float, ...] | None = None
    layer_flash_lines: tuple[int, ...] | None = None


class Runner(ABC):
    """Build, load, run, read back, close. Use as a context manager.

    Attributes:
        name: As in `--on NAME`.
        evidence: What its figures are.
    """

    name: ClassVar[str]
    evidence: ClassVar[Evidence]

    def __init__(self, target: Target, argument: str | None = None) -> None:
        """Make a runner; `argument` is what follows the colon in `--on NAME:ARGUMENT`."""
        self.target = target
        self.argument = argument

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why this runner cannot run here, and what would enable it; None when it can."""

    @abstractmethod
    def build(self, source: Path, work: Path) -> BuildInfo:
        """Compile an export's `c/` folder; files go to `work`.

        Raises:
            RunnerError: No compiler, or the build failed.
        """

    @abstractmethod
    def load(self, build: BuildInfo, signature: Signature) -> None:
        """Start the built image."""

    @abstractmethod
    def run(self, inputs: tuple[NDArray[np.generic], ...]) -> RunResult:
        """One inference.

        Raises:
            RunnerError: The program faulted, left its memory, or did not answer in time.
        """

    def close(self) -> None:  # noqa: B027 - not every runner holds something
        """Release what `load` took."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@functools.cache
def runners() -> dict[str, type[Runner]]:
    """Every runner class, by name, in alphabetical order."""
    package = importlib.import_module("fedtiny.devices")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found: dict[str, type[Runner]] = {}
    for name in sorted(names):
        if name.startswith("runner_"):
            runner: type[Runner] = importlib.import_module(f"fedtiny.devices.{name}").RUNNER
            found[runner.name] = runner
    return found


def make_runner(spec: str, target: Target) -> Runner:
    """Make the runner that `--on SPEC` names: a name, or a name, a colon and its argument.

    Raises:
        UsageError: There is no such runner.
    """
    name, _, argument = spec.partition(":")
    if name not in runners():
        raise unknown_name("runner", name, runners())
    return runners()[name](target, argument or None)


def bytes_of(tensors: tuple[TensorType, ...]) -> int:
    """Size of several tensors that follow each other in memory."""
    sizes = [np.dtype(one.dtype).itemsize * np.prod(one.shape, dtype=np.int64) for one in tensors]
    return int(sum(sizes))


def checked_inputs(inputs: tuple[NDArray[np.generic], ...], signature: Signature) -> bytes:
    """The bytes of a model's inputs, one after the other.

    Raises:
        UsageError: Their number, a shape or a dtype is not the model's.
    """
    if len(inputs) != len(signature.inputs):
        raise UsageError(f"the model takes {len(signature.inputs)} inputs, not {len(inputs)}.")
    for index, (array, wanted) in enumerate(zip(inputs, signature.inputs, strict=True)):
        if array.shape != wanted.shape or array.dtype != wanted.dtype:
            raise UsageError(
                f"input {index} is {array.dtype}{array.shape}; "
                f"the model takes {wanted.dtype}{wanted.shape}."
            )
    return b"".join(np.ascontiguousarray(array).tobytes() for array in inputs)


def outputs_from(data: bytes, signature: Signature) -> tuple[NDArray[np.generic], ...]:
    """A model's outputs from their bytes, one after the other.

    Raises:
        RunnerError: The program has outputs of another size.
    """
    if len(data) != bytes_of(signature.outputs):
        wanted = bytes_of(signature.outputs)
        raise RunnerError(f"the program gives {len(data)} output bytes; the model has {wanted}.")
    outputs: list[NDArray[np.generic]] = []
    for tensor in signature.outputs:
        size = bytes_of((tensor,))
        outputs.append(np.frombuffer(data[:size], tensor.dtype).reshape(tensor.shape).copy())
        data = data[size:]
    return tuple(outputs)
